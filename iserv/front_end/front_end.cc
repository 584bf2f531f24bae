#include "iserv/front_end/front_end.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "bytecode/disassemble.h"
#include "iserv/front_end/trace.h"
#include "protocol/describe.h"
#include "protocol/message_layout.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

// How long what cannot be interrupted may go on when the user has pressed ^C. The interpreter is lost then.
constexpr std::chrono::milliseconds kInterruptPatience{200};

// The byte code that GHC has compiled, in words for a person.
std::string listing(capnp::List<capnp::Data>::Reader chunks, const ghc::Version& version) {
  const bytecode::BcoFormat* format = bytecode::findFormat(version.name);
  if (format == nullptr) return "";
  std::vector<ghc::Bytes> bytes;
  for (auto chunk : chunks) bytes.emplace_back(reinterpret_cast<const std::byte*>(chunk.begin()), chunk.size());
  Result<bytecode::BcoSet> set = bytecode::decodeBcos(bytes, *format);
  // The interpreter, which will say the same, refuses it.
  return set ? bytecode::disassemble(*set, *format) : set.error().message + "\n";
}

}  // namespace

FrontEnd::FrontEnd(const FrontEndOptions& options, Client& client)
    : options_(options), client_(client), attention_(options.signals, client.hangUpFd()), wait_(&attention_) {
  client_.whenInterrupting([this] { interrupt(); });
  if (options_.signals != nullptr) options_.signals->whenCaught([this] { interrupt(); });
}

int FrontEnd::run() {
  auto wait = [this]() -> Status {
    Result<bool> ready = waitForInterpreter(false);
    if (!ready) return ready.error();
    if (!*ready) return Error{"nobody needs it"};
    return Done{};
  };
  auto started = options_.start({client_, attention_, wait});
  if (started) interpreter_ = std::move(*started);
  Result<Next> next = started ? Result<Next>(Next::kContinue) : Result<Next>(started.error());
  inHand_ = false;
  while (next && *next == Next::kContinue) next = relayOne();
  if (attention_.cancelled()) next = hearOut();
  // Whatever still waits for something need not.
  if (next && *next == Next::kGhcGone) attention_.cancel();

  // That the client goes is no reason to stop short.
  ending_.emplace(options_.signals);
  std::optional<Child::Exit> exit;
  if (interpreter_) {
    auto why = !next                      ? Interpreter::Ending::kFailed
               : *next == Next::kShutdown ? Interpreter::Ending::kToldTo
                                          : Interpreter::Ending::kUnused;
    exit = interpreter_->end(why, *ending_);
  }
  if (attention_.cancelled() && attention_.isToBeCancelled()) return client_.endedBySignal(SIGINT);
  return next ? 0 : explain(next.error().message, exit);
}

// Says why there is no more to relay. Result: the exit status.
int FrontEnd::explain(const std::string& message, const std::optional<Child::Exit>& exit) {
  if (!interpreter_ || !interpreter_->isGone()) {
    client_.complain(message);
    return 1;
  }
  if (!exit) {
    client_.complain("the interpreter ended " + message);
    return 1;
  }
  if (exit->signal != 0) {
    client_.complain("the interpreter was ended by signal " + std::to_string(exit->signal) + " (" +
                     strsignal(exit->signal) + ") " + message);
    return client_.endedBySignal(exit->signal);
  }
  client_.complain("the interpreter ended with exit status " + std::to_string(exit->status) + " " + message);
  return exit->status == 0 ? 1 : static_cast<int>(exit->status);
}

// Waits for one of these: the client's, the interpreter's. As poll().
int FrontEnd::wait(std::span<pollfd> fds) {
  int patience = client_.patienceMs();
  if (interpreter_->patienceMs() >= 0) {
    patience = patience < 0 ? interpreter_->patienceMs() : std::min(patience, interpreter_->patienceMs());
  }
  return wait_.poll(fds, patience);
}

// Waits for the client to say more. Meanwhile takes the replies that nobody waits for, and notices if the interpreter
// goes. Nobody may need it for a long time, and it should not leave this process behind.
Status FrontEnd::waitForGhc() {
  for (;;) {
    // It is the client's turn.
    if (interpreter_->pending().empty()) {
      attention_.keep();
      interrupted_ = false;
    }
    if (client_.buffered()) return Done{};
    if (!interpreter_->buffered()) {
      // Without an interpreter there is only the client: poll() ignores a negative fd.
      pollfd fds[] = {{client_.fd(), POLLIN, 0}, {interpreter_->fd(), POLLIN, 0}};
      // Sending takes time that the client does not wait if it has nothing to say just now.
      if (interpreter_->hasUnsent() && poll(fds, 1, 0) == 0) interpreter_->flush();
      int ready = wait(fds);
      if (attention_.cancelled()) return Error{"it was interrupted"};
      if (ready < 0) continue;  // a signal
      if (fds[0].revents != 0) return Done{};
      if (ready == 0 && client_.patienceMs() >= 0) return Done{};
    }
    Result<bool> more = interpreter_->ready();
    if (!more) return more.error();
    if (!*more) continue;
    auto message = interpreter_->receive();
    if (!message) return message.error();
    if (!*message) continue;
    // Of a request that has been answered without waiting.
    Result<Next> next = relay(**message);
    if (!next) return next.error();
  }
}

// The client's next request, for which it may have to be waited.
Result<FrontEnd::Next> FrontEnd::readMessage(size_t* size, schema::ToInterpreter::Builder message) {
  for (;;) {
    Result<Client::Next> next = client_.next(message, size);
    if (!next) return next.error();
    if (*next == Client::Next::kGone) return Next::kGhcGone;
    if (*next == Client::Next::kRequest) {
      ++messages_;
      return Next::kContinue;
    }
    if (Status waited = waitForGhc(); !waited) return waited.error();
    if (Status taken = client_.takeIn(); !taken) return taken.error();
  }
}

// The client is gone. Whether the last that it said was whole is told nevertheless.
Result<FrontEnd::Next> FrontEnd::hearOut() {
  pollfd client[] = {{client_.hangUpFd(), POLLRDHUP, 0}};
  if (::poll(client, 1, 0) <= 0) return Next::kGhcGone;
  constexpr int kMostParts = 64;
  for (int parts = 0; parts < kMostParts;) {
    capnp::MallocMessageBuilder builder;
    size_t size = 0;
    Result<Client::Next> next = client_.next(builder.initRoot<schema::ToInterpreter>(), &size);
    if (!next) return next.error();
    if (*next == Client::Next::kGone) break;
    if (*next == Client::Next::kRequest) {
      ++messages_;
      continue;
    }
    ++parts;
    if (Status taken = client_.takeIn(); !taken) return taken.error();
  }
  return Next::kGhcGone;
}

Result<FrontEnd::Next> FrontEnd::relayOne() {
  capnp::MallocMessageBuilder builder;
  auto to = builder.initRoot<schema::ToInterpreter>();
  size_t size = 0;
  Result<Next> read = readMessage(&size, to);
  if (!read || *read != Next::kContinue) return read;
  auto request = to.getRequest();

  uint64_t start = options_.verbose ? monotonicNanoseconds() : 0;
  if (options_.verbose) trace("->", describe(request.asReader()), size);
  if (options_.listsByteCode && request.isCreateBcos()) {
    traceText(listing(request.getCreateBcos(), *options_.version));
  }
  inHand_ = true;
  Result<Next> next = carryOut(request.asReader(), builder);
  inHand_ = false;
  if (options_.verbose) traceDuration(monotonicNanoseconds() - start);
  return next;
}

Result<FrontEnd::Next> FrontEnd::carryOut(schema::Request::Reader request, capnp::MessageBuilder& message) {
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::Reply>();
  const RequestKind& kind = kindOf(request.which());
  Interpreter::Pending pending{request.which(), subject(request), messages_ - 1};
  Result<Interpreter::Answer> answered = interpreter_->answer(request, reply);
  if (!answered && client_.gone()) return Next::kGhcGone;
  if (!answered) return answered.error();
  if (*answered != Interpreter::Answer::kNone) {
    Result<Next> next = answer(pending, reply);
    if (!next || *next != Next::kContinue) return next;
    if (*answered == Interpreter::Answer::kWhole) return request.isShutdown() ? Next::kShutdown : next;
    pending.answered = true;
  }
  ranStatement_ = ranStatement_ || kind.statement;
  // GHC does not wait for an answer that has no content, so it is not awaited here either.
  bool waits = !pending.answered && (kind.reply != schema::Reply::DONE || request.isShutdown());
  waits = waits || interpreter_->pending().size() + 1 >= interpreter_->mostPending();
  // An interpreter that is gone may have said why, in answer to an earlier request.
  if (!interpreter_->send(message, std::move(pending), waits) || waits) return awaitReplies();
  return Next::kContinue;
}

// An interpreter that is a child is interrupted by the terminal, as this process is.
void FrontEnd::interrupt() {
  if (interpreter_) interpreter_->interrupt();
  // What is loaded, or sent, is not interrupted by that; and GHC minds its own interrupt when it has its answer.
  if (ending_) return ending_->cancelAfter(kInterruptPatience);
  bool isBusy = inHand_ || (interpreter_ && !interpreter_->pending().empty());
  if (options_.signals == nullptr || !isBusy || isEvaluating()) return;
  // What was defined at GHCi's prompt would be lost, which takes a second ^C.
  bool isMeant = !ranStatement_ || std::exchange(interrupted_, true);
  if (isMeant) attention_.cancelAfter(kInterruptPatience);
}

bool FrontEnd::isEvaluating() const {
  return interpreter_ && !interpreter_->pending().empty() && kindOf(interpreter_->pending().front().which).evaluated;
}

// Waits for something from the interpreter while watching the client. False if that is gone.
Result<bool> FrontEnd::waitForInterpreter(bool relayAnswers) {
  bool takes = relayAnswers || client_.takesInAlways();
  for (;;) {
    if (interpreter_->buffered()) {
      Result<bool> ready = interpreter_->ready();
      if (!ready || *ready) return ready;
    }
    pollfd fds[] = {{interpreter_->fd(), POLLIN, 0}, {client_.fd(), static_cast<short>(takes ? POLLIN : 0), 0}};
    int ready = takes && client_.buffered() ? 0 : wait(fds);
    if (attention_.cancelled()) return false;
    if (ready < 0) continue;  // a signal
    if (fds[0].revents != 0 || (ready == 0 && interpreter_->patienceMs() >= 0)) {
      Result<bool> more = interpreter_->ready();
      if (!more || *more) return more;
    }
    bool tick = ready == 0 && client_.patienceMs() >= 0;
    if (takes && ((fds[1].revents & POLLIN) || tick || client_.buffered())) {
      if (Status taken = client_.takeIn(); !taken) return taken.error();
      if (client_.gone()) return false;
      ghc::Bytes answer = relayAnswers ? client_.answerToSplice() : ghc::Bytes();
      if (answer.empty()) continue;
      if (options_.verbose) trace("->", "answer", answer.size());
      if (Status sent = sendAnswer(answer); !sent) return sent.error();
      client_.answerTaken(answer.size());
    } else if (fds[1].revents != 0) {
      return false;
    }
  }
}

Status FrontEnd::sendAnswer(ghc::Bytes bytes) {
  capnp::MallocMessageBuilder builder(static_cast<uint>(bytes.size() / sizeof(capnp::word) + 16));
  builder.initRoot<schema::ToInterpreter>().setThAnswer(
      {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()});
  return interpreter_->sendAnswer(builder);
}

Result<FrontEnd::Next> FrontEnd::awaitReplies() {
  // Until the splice has asked something, what GHC sends is no answer but its next message. When GHC is interrupted it
  // gives up on the splice and shuts the interpreter down.
  bool asked = false;
  while (!interpreter_->pending().empty()) {
    // That is interrupted by itself.
    if (isEvaluating()) attention_.keep();
    Result<bool> ready = waitForInterpreter(asked);
    if (!ready) return ready.error();
    if (!*ready) return Next::kGhcGone;
    auto message = interpreter_->receive();
    if (!message) return message.error();
    if (!*message) continue;
    asked = (*message)->isThRequest();
    Result<Next> next = relay(**message);
    if (!next || *next != Next::kContinue) return next;
  }
  return Next::kContinue;
}

// Tells the client what the interpreter says of the first request.
Result<FrontEnd::Next> FrontEnd::relay(schema::FromInterpreter::Reader message) {
  if (interpreter_->pending().empty()) return Error{"the interpreter says something that it was not asked"};
  const Interpreter::Pending& request = interpreter_->pending().front();
  if (message.isThRequest() && kindOf(request.which).asks) {
    auto question = message.getThRequest();
    if (options_.verbose) trace("<-", thMessageName(*options_.version, question), question.size());
    ghc::Bytes bytes{reinterpret_cast<const std::byte*>(question.begin()), question.size()};
    return client_.ask(bytes) ? Next::kContinue : Next::kGhcGone;
  }
  if (!message.isReply()) return Error{"the interpreter sent no reply to: " + request.subject};
  Result<Next> next = answer(request, message.getReply());
  bool isLast = request.which == schema::Request::SHUTDOWN;
  interpreter_->done();
  return isLast && next && *next == Next::kContinue ? Next::kShutdown : next;
}

// Tells the client. Fails if the reply is none to this request.
Result<FrontEnd::Next> FrontEnd::answer(const Interpreter::Pending& request, schema::Reply::Reader reply) {
  if (reply.isLoadedDll() && reply.getLoadedDll().isFailed()) {
    if (std::string hint = interpreter_->hintOnMissing(request.subject); !hint.empty()) {
      capnp::MallocMessageBuilder builder;
      auto explained = builder.initRoot<schema::Reply>();
      explained.initLoadedDll().setFailed(reply.getLoadedDll().getFailed().cStr() + hint);
      return tell(request, explained);
    }
  }
  return tell(request, reply);
}

Result<FrontEnd::Next> FrontEnd::tell(const Interpreter::Pending& request, schema::Reply::Reader reply) {
  Result<bool> told = client_.reply(request.serial, request.which, reply);
  if (!told) return told.error().within(request.subject);
  return *told ? Next::kContinue : Next::kGhcGone;
}

}  // namespace splicehost
