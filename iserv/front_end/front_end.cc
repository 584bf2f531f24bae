#include "iserv/front_end/front_end.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "iserv/front_end/trace.h"
#include "protocol/describe.h"
#include "protocol/message_layout.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

// How long an interpreter may take to end after it was told to or its client has hung up. It may have
// profiling reports to write, and users have finalizers.
constexpr uint64_t kShutdownPatienceMs = 10'000;
// How long when something went wrong.
constexpr uint64_t kErrorPatienceMs = 500;
// How long a session may take to greet, having loaded what its zygote had not. One that was stopped never does.
constexpr uint64_t kGreetingPatienceMs = 5'000;
// How long what cannot be interrupted may go on when the user has pressed ^C. The interpreter is lost then.
constexpr std::chrono::milliseconds kInterruptPatience{200};
// How many requests may wait for their empty replies, so that neither side can block on a full socket.
constexpr size_t kMaxSentAhead = 64;
// As many as that on the way to another machine, where each wait costs a round trip.
constexpr size_t kMaxSentAheadRemotely = 1024;

// Requests whose answer is known before there is an interpreter. The RTS keeps library search paths, and finds
// system libraries, only on Windows (rts/Linker.c, addLibrarySearchPath and following), and GHC asks these for
// each package. If it is not told where a system library is, it has gcc search for the file, once for each
// library, which takes longer than most splices. Those that the interpreter is linked with need not be found:
// GHC takes the answer's file name without its extension, and asks for libNAME.so to be loaded
// (GHC.Runtime.Linker, locateLib, 9.0.2), which is there already.
bool answeredHere(schema::Request::Reader request, const std::set<std::string>& libraries,
                  schema::Reply::Builder reply) {
  constexpr std::string_view kPrefix = "lib";
  switch (request.which()) {
    case schema::Request::ADD_LIBRARY_SEARCH_PATH:
      reply.setPointer(0);
      return true;
    case schema::Request::REMOVE_LIBRARY_SEARCH_PATH:
      reply.setBool(false);
      return true;
    case schema::Request::FIND_SYSTEM_LIBRARY:
      if (std::string name = request.getFindSystemLibrary(); libraries.contains(name)) {
        reply.initMaybeText().setText(name.substr(kPrefix.size()));
      } else {
        reply.initMaybeText().setNothing();
      }
      return true;
    default:
      return false;
  }
}

}  // namespace

FrontEnd::FrontEnd(const FrontEndOptions& options, Client& client)
    : options_(options), client_(client), attention_(options.signals, client.hangUpFd()), wait_(&attention_) {
  client_.whenInterrupting([this] { interrupt(); });
  if (options_.signals != nullptr) options_.signals->whenCaught([this] { interrupt(); });
}

int FrontEnd::run() {
  Status started = start();
  Result<Next> next = started ? Result<Next>(Next::kContinue) : Result<Next>(started.error());
  inHand_ = false;
  while (next && *next == Next::kContinue) next = relayOne();
  if (attention_.cancelled()) next = hearOut();
  // Whatever still waits for something need not.
  if (next && *next == Next::kGhcGone) attention_.cancel();
  if (shared_) shared_->report();

  // Hanging up ends the interpreter, unless it is ending already.
  bool orderly = next && *next == Next::kShutdown;
  if (!orderly) {
    transcript_.reset();
    connection_ = nullptr;
  }
  std::optional<Child::Exit> exit = waitForEnd(orderly, next ? kShutdownPatienceMs : kErrorPatienceMs);
  if (attention_.cancelled() && attention_.isToBeCancelled()) return client_.endedBySignal(SIGINT);
  if (next) return 0;

  std::string message = next.error().message;
  if (!interpreterGone_) {
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

// How the interpreter ended; nothing if nobody knows, or if nobody needs to.
std::optional<Child::Exit> FrontEnd::waitForEnd(bool orderly, uint64_t patienceMs) {
  if (remote_) {
    std::optional<Child::Exit> end = remote_->end();
    remote_.reset();
    return end;
  }
  // That the client goes is no reason to stop short.
  ending_.emplace(options_.signals);
  // One that has not greeted has done nothing that it would have to put in order.
  if (child_ && child_->started()) return child_->wait(greeted_ ? patienceMs : kErrorPatienceMs, &*ending_);
  // What exit handlers write is there when GHC goes on. (iserv/interpreter/process_end.h)
  if (shared_ && orderly && transcript_ && !transcript_->await(POLLRDHUP, patienceMs, &*ending_)) {
    if (ending_->cancelled()) {
      shared_->killSession();
    } else {
      client_.warn("the interpreter's exit handlers do not end; it is left to itself");
    }
  }
  if (shared_ && interpreterGone_ && !sessionEnd_) return shared_->sessionEnd(kErrorPatienceMs);
  return sessionEnd_;
}

// Both sides start at the same time: a child's answer is awaited when the first request has been read.
Status FrontEnd::start() {
  if (options_.connect) {
    auto remote = options_.connect(attention_);
    if (!remote) return remote.error();
    remote_ = std::move(*remote);
    connection_ = remote_.get();
    // It looks after that itself.
    greeted_ = true;
    return Done{};
  }
  if (!options_.broker.empty()) {
    auto shared = SharedInterpreter::open(sharedProgram(), attention_);
    if (shared) {
      shared_ = std::move(*shared);
      return Done{};
    }
    if (attention_.cancelled()) return shared.error();
    if (!shared.error().message.empty()) client_.warn("libraries are not shared: " + shared.error().message);
  }
  return startChild();
}

SharedProgram FrontEnd::sharedProgram() const {
  return {options_.broker, options_.program,  options_.programName, std::string(options_.version->name),
          options_.way,    options_.identity, options_.view};
}

Status FrontEnd::startChild() {
  if (options_.view) {
    // The child has this process's view.
    Status entered = gainMountRights();
    if (Status seen = enterView(*options_.view); entered) entered = seen;
    if (!entered) {
      client_.warn("files are not at the paths that the compiler has them: " + entered.error().message);
    }
  }
  std::vector<std::string> arguments = {options_.programName};
  arguments.insert(arguments.end(), options_.rtsOptions.begin(), options_.rtsOptions.end());
  child_.emplace(options_.program, std::move(arguments), std::nullopt, "--fd");
  if (!child_->started()) {
    return child_->started().error().within("the interpreter could not be started");
  }
  transcript_.emplace(child_->takeSocket(), &attention_);
  connection_ = &*transcript_;
  return sendHello();
}

Status FrontEnd::sendHello() {
  capnp::MallocMessageBuilder builder;
  auto hello = builder.initRoot<schema::ToInterpreter>().initHello();
  hello.setProtocolVersion(schema::PROTOCOL_VERSION);
  hello.setGhcVersion(std::string(options_.version->name));
  hello.setBuildIdentity(options_.identity);
  hello.setWay(options_.way);
  hello.setIgnoredSignals(options_.ignoredSignals);
  hello.setBlockedSignals(options_.blockedSignals);
  if (!connection_->send(builder)) return interpreterGone();
  return Done{};
}

// Gets an interpreter for what must run now: a session of the broker's, or else a child.
Status FrontEnd::attachSession() {
  Result<kj::AutoCloseFd> session = shared_->attach();
  Status attached = session ? Status(Done{}) : Status(session.error());
  if (attached) {
    transcript_.emplace(kj::mv(*session), &attention_);
    connection_ = &*transcript_;
    transcript_->remember();
    attached = sendHello();
    if (attached) attached = replay();
    if (attached) attached = shared_->awaitSession();
    if (attached && !greeted_ && !transcript_->await(POLLIN, kGreetingPatienceMs, &attention_)) {
      shared_->killSession();
      attached = Error{"the session does not greet"};
    }
    if (attached && !greeted_) attached = awaitGreeting();
  }
  if (attached || attention_.cancelled()) return attached;

  if (options_.verbose) trace("  ", "no session: " + attached.error().message, 0);
  return goAlone();
}

// Starts a child in place of what the broker provides.
Status FrontEnd::goAlone() {
  greeted_ = interpreterGone_ = false;
  pending_.clear();
  Status started = startChild();
  if (started) started = replay();
  shared_.reset();
  return started;
}

// If the session was killed from outside: has another one do all that it has done. False if that is not the
// case or cannot be done.
bool FrontEnd::repeatSession() {
  if (!shared_ || !transcript_->remembers() || attention_.cancelled()) return false;
  sessionEnd_ = shared_->sessionEnd(kErrorPatienceMs);
  // Without the broker nobody knows. If it was the code's own fault it will happen again.
  if (sessionEnd_ && sessionEnd_->signal != SIGKILL) return false;
  uint32_t zygote = shared_->zygote();
  Result<kj::AutoCloseFd> session = shared_->attachAgain(sharedProgram());
  Status repeated = session ? shared_->awaitSession() : Status(session.error());
  if (repeated) repeated = transcript_->repeatOn(kj::mv(*session));
  // Once: whoever kills it again means it.
  transcript_->forget();
  if (!repeated) {
    std::string origin = shared_->zygote() == zygote ? "" : ", which is a fork of another zygote";
    client_.warn("what the interpreter had run could not be repeated in another one" + origin + ": " +
                 repeated.error().message);
    return false;
  }
  client_.warn("the interpreter was killed; what it had run was run again in another one");
  return true;
}

// Does in the interpreter what GHC believes to be done.
Status FrontEnd::replay() {
  Status status = Done{};
  shared_->replay(child_.has_value(), [&](capnp::MessageBuilder& message) {
    if (!status) return;
    auto request = message.getRoot<schema::ToInterpreter>().getRequest().asReader();
    pending_.push_back({request.which(), subject(request), true, "", 0});
    // An interpreter that is gone may have said why, or be one that can be repeated.
    if (!connection_->send(message) || pending_.size() >= kMaxSentAhead) {
      Result<Next> next = awaitReplies();
      if (!next) status = next.error();
    }
  });
  return status;
}

Status FrontEnd::checkReplayed(const Pending& request, schema::Reply::Reader reply) {
  if (reply.isLoadedDll() && reply.getLoadedDll().isFailed()) {
    return Error{request.subject + ": " + reply.getLoadedDll().getFailed().cStr()};
  }
  if (reply.isBool() && !reply.getBool()) return Error{request.subject + ": a symbol is missing"};
  return Done{};
}

Error FrontEnd::interpreterGone() {
  interpreterGone_ = true;
  if (!pending_.empty()) return Error{"while it was busy with: " + pending_.front().subject};
  return Error{greeted_ ? "while it was idle" : "while it was starting"};
}

Status FrontEnd::awaitGreeting() {
  auto message = connection_->receive();
  if (!message) return message.error().within("the interpreter's answer");
  if (!*message) return interpreterGone();
  auto answer = **message;
  if (!answer.isHello()) return Error{"the interpreter's first message is not a hello"};
  if (answer.getHello().isRefused()) {
    return Error{std::string("the interpreter refuses: ") + answer.getHello().getRefused().cStr()};
  }
  greeted_ = true;
  return Done{};
}

// Waits for one of these: the client's, the interpreter's. As poll().
int FrontEnd::wait(std::span<pollfd> fds) {
  int patience = client_.patienceMs();
  if (connection_ != nullptr && connection_->patienceMs() >= 0) {
    patience = patience < 0 ? connection_->patienceMs() : std::min(patience, connection_->patienceMs());
  }
  return wait_.poll(fds, patience);
}

// Waits for the client to say more. Meanwhile takes the replies that nobody waits for, and notices if the
// interpreter goes: nobody may need it for a long time, and it should not leave this process behind.
Status FrontEnd::waitForGhc() {
  for (;;) {
    // It is the client's turn.
    if (pending_.empty()) {
      attention_.keep();
      interrupted_ = false;
    }
    if (client_.buffered()) return Done{};
    if (connection_ == nullptr || !connection_->buffered()) {
      // Without an interpreter there is only GHC: poll() ignores a negative fd.
      pollfd fds[] = {{client_.fd(), POLLIN, 0}, {connection_ != nullptr ? connection_->fd() : -1, POLLIN, 0}};
      // Sending takes time that the client does not wait if it has nothing to say just now.
      if (remote_ && poll(fds, 1, 0) == 0) (void)connection_->flush();
      int ready = wait(fds);
      if (attention_.cancelled()) return Error{"it was interrupted"};
      if (ready < 0) continue;  // a signal
      if (fds[0].revents != 0) return Done{};
      if (ready == 0 && client_.patienceMs() >= 0) return Done{};
    }
    if (connection_ == nullptr) continue;
    Result<bool> more = connection_->ready();
    if (!more) return more.error();
    if (!*more) continue;
    if (!greeted_) {
      if (Status greeting = awaitGreeting(); !greeting) return greeting;
    } else if (pending_.empty()) {
      if (!repeatSession()) return interpreterGone();
    } else {
      Result<Next> next = awaitReply(pending_.front());
      if (!next) return next.error();
      pending_.pop_front();
    }
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
  inHand_ = true;
  Result<Next> next = carryOut(request.asReader(), builder);
  inHand_ = false;
  if (options_.verbose) traceDuration(monotonicNanoseconds() - start);
  return next;
}

Result<FrontEnd::Next> FrontEnd::carryOut(schema::Request::Reader request, capnp::MessageBuilder& message) {
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::Reply>();
  Pending pending{request.which(), subject(request), false, "", messages_ - 1};
  if (remote_ && request.isAddLibrarySearchPath()) libraryDirectory_ = request.getAddLibrarySearchPath().cStr();
  if (answeredHere(request, options_.libraries, reply)) return answer(pending, reply);
  if (shared_ && shared_->answerMemory(request, reply)) {
    if (connection_ != nullptr) {
      if (Status replayed = replay(); !replayed) return replayed.error();
    }
    return answer(pending, reply);
  }
  if (remote_ && placed_.answer(request, reply)) {
    capnp::MallocMessageBuilder placed;
    bool any = placed_.fill(placed.initRoot<schema::ToInterpreter>().initRequest(), false);
    if (!any) return answer(pending, reply);
    pending_.push_back({schema::Request::PLACE_DATA, pending.subject, true, "", 0});
    if (!connection_->send(placed, false)) return awaitReplies();
    return answer(pending, reply);
  }
  if (connection_ == nullptr) {
    // GHC may have nothing to run at all.
    if (request.isShutdown()) {
      reply.setDone();
      Result<Next> next = answer(pending, reply);
      return next && *next == Next::kContinue ? Next::kShutdown : next;
    }
    Status records = shared_->awaitRecords();
    if (!records && attention_.cancelled()) return records.error();
    if (!records && !records.error().message.empty()) {
      client_.warn("libraries are not shared: " + records.error().message);
    }
    if (records && shared_->answerLoad(request, reply)) return answer(pending, reply);
    if (Status attached = records ? attachSession() : goAlone(); !attached) return attached.error();
  }
  ranStatement_ = ranStatement_ || kindOf(request.which()).statement;
  if (shared_) {
    if (kindOf(request.which()).statement) transcript_->forget();
    shared_->noteRequest(request);
    if (request.isLookupSymbol()) pending.symbol = request.getLookupSymbol();
    if (request.isLookupClosure()) pending.symbol = request.getLookupClosure();
  }
  bool ahead = remote_ && answersAhead(request, reply);
  if (ahead) {
    pending.answered = true;
    Result<Next> next = answer(pending, reply);
    if (!next || *next != Next::kContinue) return next;
  }
  pending_.push_back(std::move(pending));
  // GHC does not wait for an answer that has no content, so it is not awaited here either.
  bool waits = !ahead && (kindOf(request.which()).reply != schema::Reply::DONE || request.isShutdown());
  size_t most = remote_ ? kMaxSentAheadRemotely : kMaxSentAhead;
  waits = waits || (options_.verbose && !remote_) || pending_.size() >= most;
  // An interpreter that is gone may have said why, in answer to an earlier request.
  if (!connection_->send(message, waits) || waits) return awaitReplies();
  return Next::kContinue;
}

// Whether a request on the way to another machine is answered before it is carried out: one whose answer is the
// same whenever it succeeds. If it does not, that shows in what must be awaited next, and GHC is told no answer to
// that. Not a system library, whose absence GHC can live with.
bool FrontEnd::answersAhead(schema::Request::Reader request, schema::Reply::Builder reply) const {
  if (request.isResolveObjs()) {
    reply.setBool(true);
    return true;
  }
  if (!request.isLoadDll()) return false;
  std::string file = ghc::fileName({request.getLoadDll().begin(), request.getLoadDll().size()});
  std::string name = file.substr(file.rfind('/') + 1);
  if (!options_.libraries.contains(file) && !name.starts_with("libHS") && !name.starts_with("libghc_")) return false;
  reply.initLoadedDll().setHandle(ghc::sharedObjectHandle(file));
  return true;
}

// An interpreter that is a child is interrupted by the terminal, as this process is.
void FrontEnd::interrupt() {
  if (shared_) shared_->interrupt();
  if (remote_) remote_->interrupt();
  // What is loaded, or sent, is not interrupted by that; and GHC minds its own interrupt when it has its answer.
  if (ending_) return ending_->cancelAfter(kInterruptPatience);
  bool isBusy = inHand_ || !pending_.empty();
  if (options_.signals == nullptr || !isBusy || isEvaluating()) return;
  // What was defined at GHCi's prompt would be lost, which takes a second ^C.
  bool isMeant = !ranStatement_ || std::exchange(interrupted_, true);
  if (isMeant) attention_.cancelAfter(kInterruptPatience);
}

bool FrontEnd::isEvaluating() const { return !pending_.empty() && kindOf(pending_.front().which).evaluated; }

// Waits for something from the interpreter while watching the client. False if that is gone.
Result<bool> FrontEnd::waitForInterpreter(bool relayAnswers) {
  bool takes = relayAnswers || client_.takesInAlways();
  for (;;) {
    if (connection_->buffered()) {
      Result<bool> ready = connection_->ready();
      if (!ready || *ready) return ready;
    }
    pollfd fds[] = {{connection_->fd(), POLLIN, 0}, {client_.fd(), static_cast<short>(takes ? POLLIN : 0), 0}};
    int ready = takes && client_.buffered() ? 0 : wait(fds);
    if (attention_.cancelled()) return false;
    if (ready < 0) continue;  // a signal
    if (fds[0].revents != 0 || (ready == 0 && connection_->patienceMs() >= 0)) {
      Result<bool> more = connection_->ready();
      if (!more || *more) return more;
    }
    bool tick = ready == 0 && client_.patienceMs() >= 0;
    if (takes && ((fds[1].revents & POLLIN) || tick || client_.buffered())) {
      if (Status taken = client_.takeIn(); !taken) return taken.error();
      if (client_.gone()) return false;
      ghc::Bytes answer = relayAnswers ? client_.answerToSplice() : ghc::Bytes();
      if (answer.empty()) continue;
      if (options_.verbose) trace("->", "answer", answer.size());
      if (!sendAnswer(answer) && !repeatSession()) return interpreterGone();
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
  return connection_->send(builder);
}

Result<FrontEnd::Next> FrontEnd::awaitReplies() {
  if (!greeted_) {
    if (Status greeting = awaitGreeting(); !greeting) return greeting.error();
  }
  Result<Next> next = Next::kContinue;
  while (next && *next == Next::kContinue && !pending_.empty()) {
    next = awaitReply(pending_.front());
    if (next) pending_.pop_front();
  }
  return next;
}

Result<FrontEnd::Next> FrontEnd::awaitReply(const Pending& request) {
  bool template_haskell = kindOf(request.which).asks;
  // That is interrupted by itself.
  if (kindOf(request.which).evaluated) attention_.keep();
  // Until the splice has asked something, what GHC sends is no answer but its next message: when it is interrupted it
  // gives up on the splice and shuts the interpreter down.
  bool asked = false;
  for (;;) {
    Result<bool> ready = waitForInterpreter(asked);
    if (!ready) return ready.error();
    if (!*ready) return Next::kGhcGone;
    auto message = connection_->receive();
    if ((!message || !*message) && repeatSession()) continue;
    // What a remote interpreter's link has to say is said.
    if (!message) return remote_ ? message.error() : message.error().within("the interpreter's answer");
    if (!*message) return interpreterGone();
    auto from = **message;

    if (from.isThRequest() && template_haskell) {
      auto question = from.getThRequest();
      if (options_.verbose) {
        trace("<-", thMessageName(*options_.version, question), question.size());
      }
      ghc::Bytes bytes{reinterpret_cast<const std::byte*>(question.begin()), question.size()};
      if (!client_.ask(bytes)) return Next::kGhcGone;
      asked = true;
      continue;
    }
    if (!from.isReply()) return Error{"the interpreter sent no reply to: " + request.subject};
    if (from.getReply().isFailed()) {
      return Error{request.subject + ": " + from.getReply().getFailed().cStr()};
    }
    if (request.answered) {
      if (Status good = checkReplayed(request, from.getReply()); !good) return good.error();
      return Next::kContinue;
    }
    if (shared_ && !request.symbol.empty() && from.getReply().getMaybePointer().isPointer()) {
      shared_->noteSymbol(request.symbol);
    }
    bool missing = remote_ && from.getReply().isLoadedDll() && from.getReply().getLoadedDll().isFailed();
    Result<Next> next = missing ? answerMissing(request, from.getReply().getLoadedDll().getFailed().cStr())
                                : answer(request, from.getReply());
    bool last = request.which == schema::Request::SHUTDOWN;
    return last && next && *next == Next::kContinue ? Next::kShutdown : next;
  }
}

// A library of the system's is not on the target. GHC names the directories of a package before its libraries.
Result<FrontEnd::Next> FrontEnd::answerMissing(const Pending& request, const std::string& why) {
  std::string text = why + " (on the target, which has its own system libraries; " + request.subject + " was asked for";
  if (!libraryDirectory_.empty()) text += " by the package that has libraries in " + libraryDirectory_;
  capnp::MallocMessageBuilder builder;
  auto reply = builder.initRoot<schema::Reply>();
  reply.initLoadedDll().setFailed(text + ")");
  return answer(request, reply);
}

// Tells the client. Fails if the reply is none to this request.
Result<FrontEnd::Next> FrontEnd::answer(const Pending& request, schema::Reply::Reader reply) {
  Result<bool> told = client_.reply(request.serial, request.which, reply);
  if (!told) return told.error().within(request.subject);
  return *told ? Next::kContinue : Next::kGhcGone;
}

}  // namespace splicehost
