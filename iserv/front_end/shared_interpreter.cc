#include "iserv/front_end/shared_interpreter.h"

#include <poll.h>
#include <signal.h>

#include <utility>

#include "iserv/front_end/trace.h"
#include "protocol/describe.h"
#include "protocol/message_layout.h"

namespace splicehost {

namespace {

// How long a session may take to greet, having loaded what its zygote had not. One that was stopped never does.
constexpr uint64_t kGreetingPatienceMs = 5'000;

}  // namespace

Result<std::unique_ptr<Interpreter>> SharedInterpreter::open(const InterpreterProgram& program, InterpreterUser user) {
  auto broker = BrokerConnection::open(program, user.attention);
  if (!broker) return broker.error();
  return std::unique_ptr<Interpreter>(new SharedInterpreter(program, std::move(user), std::move(*broker)));
}

Result<Interpreter::Answer> SharedInterpreter::answer(schema::Request::Reader request, schema::Reply::Builder reply) {
  if (!broker_) return ChildInterpreter::answer(request, reply);
  if (answerWithoutInterpreter(request, program_.libraries, reply)) return Answer::kWhole;
  if (broker_->answerMemory(request, reply)) {
    if (Status replayed = transcript_ ? replay() : Done{}; !replayed) return replayed.error();
    return Answer::kWhole;
  }
  if (!transcript_) {
    // The compiler may have nothing to run at all.
    if (request.isShutdown()) {
      reply.setDone();
      return Answer::kWhole;
    }
    Status records = broker_->awaitRecords();
    if (!records && user_.attention.cancelled()) return records.error();
    if (!records && !records.error().message.empty()) {
      user_.client.warn("libraries are not shared: " + records.error().message);
    }
    if (records && broker_->answerLoad(request, reply)) return Answer::kWhole;
    if (Status got = records ? attachSession() : goAlone(); !got) return got.error();
  }
  if (broker_) note(request);
  return Answer::kNone;
}

void SharedInterpreter::note(schema::Request::Reader request) {
  if (kindOf(request.which()).statement) transcript_->forget();
  broker_->noteRequest(request);
  symbol_.clear();
  if (request.isLookupSymbol()) symbol_ = request.getLookupSymbol();
  if (request.isLookupClosure()) symbol_ = request.getLookupClosure();
}

// A session of the broker's for what must run now, or else a child.
Status SharedInterpreter::attachSession() {
  Result<kj::AutoCloseFd> session = broker_->attach();
  Status attached = session ? Status(Done{}) : Status(session.error());
  if (attached) {
    transcript_.emplace(kj::mv(*session), &user_.attention);
    transcript_->remember();
    attached = sayHello();
    if (attached) attached = replay();
    if (attached) attached = broker_->awaitSession();
    if (attached && !greeted_ && !transcript_->await(POLLIN, kGreetingPatienceMs, &user_.attention)) {
      broker_->killSession();
      attached = Error{"the session does not greet"};
    }
    if (attached && !greeted_) {
      if (auto greeting = take(); !greeting) attached = greeting.error();
    }
  }
  if (attached || user_.attention.cancelled()) return attached;
  if (program_.verbose) trace("  ", "no session: " + attached.error().message, 0);
  return goAlone();
}

// Starts a child in place of what the broker provides.
Status SharedInterpreter::goAlone() {
  greeted_ = isGone_ = false;
  pending_.clear();
  Status started = startChild();
  if (started) started = replay();
  broker_.reset();
  return started;
}

// Does in the interpreter what the compiler believes to be done.
Status SharedInterpreter::replay() {
  Status status = Done{};
  broker_->replay(child_.has_value(), [&](capnp::MessageBuilder& message) {
    if (!status) return;
    auto request = message.getRoot<schema::ToInterpreter>().getRequest().asReader();
    // An interpreter that is gone may have said why, or be one that can be repeated.
    bool isSent = send(message, {request.which(), subject(request), 0, true}, true).ok();
    while (status && !pending_.empty() && (!isSent || pending_.size() >= mostPending())) {
      status = user_.wait();
      if (!status) return;
      auto said = receive();
      if (!said) status = said.error();
      if (said && *said) status = Error{"the interpreter says something that it was not asked"};
    }
  });
  return status;
}

// If the session was killed from outside: has another one do all that it has done. False if that is not the
// case or cannot be done.
bool SharedInterpreter::repeatSession() {
  if (!broker_ || !transcript_->remembers() || user_.attention.cancelled()) return false;
  sessionEnd_ = broker_->sessionEnd(kErrorPatienceMs);
  // Without the broker nobody knows. If it was the code's own fault it will happen again.
  if (sessionEnd_ && sessionEnd_->signal != SIGKILL) return false;
  uint32_t zygote = broker_->zygote();
  Result<kj::AutoCloseFd> session = broker_->attachAgain(program_);
  Status repeated = session ? broker_->awaitSession() : Status(session.error());
  if (repeated) repeated = transcript_->repeatOn(kj::mv(*session));
  // Once: whoever kills it again means it.
  transcript_->forget();
  if (!repeated) {
    std::string origin = broker_->zygote() == zygote ? "" : ", which is a fork of another zygote";
    user_.client.warn("what the interpreter had run could not be repeated in another one" + origin + ": " +
                      repeated.error().message);
    return false;
  }
  user_.client.warn("the interpreter was killed; what it had run was run again in another one");
  return true;
}

Status SharedInterpreter::sendAnswer(capnp::MessageBuilder& message) {
  if (put(message, true) || repeatSession()) return Done{};
  return gone();
}

Result<std::optional<schema::FromInterpreter::Reader>> SharedInterpreter::take() {
  auto message = transcript_->receive();
  if ((!message || !*message) && repeatSession()) return std::optional<schema::FromInterpreter::Reader>();
  if (message && *message && broker_ && !symbol_.empty() && (*message)->isReply() &&
      (*message)->getReply().isMaybePointer() && (*message)->getReply().getMaybePointer().isPointer()) {
    broker_->noteSymbol(std::exchange(symbol_, ""));
  }
  return taken(message);
}

void SharedInterpreter::interrupt() {
  if (broker_) broker_->interrupt();
}

std::optional<Child::Exit> SharedInterpreter::end(Ending why, Attention& attention) {
  if (!broker_) return ChildInterpreter::end(why, attention);
  broker_->report();
  if (why != Ending::kToldTo) transcript_.reset();
  // What exit handlers write is there when the compiler goes on. (iserv/interpreter/process_end.h)
  if (transcript_ && !transcript_->await(POLLRDHUP, kShutdownPatienceMs, &attention)) {
    if (attention.cancelled()) {
      broker_->killSession();
    } else {
      user_.client.warn("the interpreter's exit handlers do not end; it is left to itself");
    }
  }
  if (isGone_ && !sessionEnd_) return broker_->sessionEnd(kErrorPatienceMs);
  return sessionEnd_;
}

Result<std::unique_ptr<Interpreter>> startInterpreter(const InterpreterProgram& program, InterpreterUser user) {
  if (!program.broker.empty()) {
    auto shared = SharedInterpreter::open(program, user);
    if (shared || user.attention.cancelled()) return shared;
    if (!shared.error().message.empty()) user.client.warn("libraries are not shared: " + shared.error().message);
  }
  return ChildInterpreter::start(program, std::move(user));
}

}  // namespace splicehost
