#include "iserv/front_end/child_interpreter.h"

#include <utility>

#include "iserv/base/process_context.h"

namespace splicehost {

namespace {

constexpr size_t kMostPending = 64;

}  // namespace

Result<std::unique_ptr<Interpreter>> ChildInterpreter::start(const InterpreterProgram& program, InterpreterUser user) {
  std::unique_ptr<ChildInterpreter> interpreter(new ChildInterpreter(program, std::move(user)));
  if (Status started = interpreter->startChild(); !started) return started.error();
  return std::unique_ptr<Interpreter>(std::move(interpreter));
}

Status ChildInterpreter::startChild() {
  if (program_.view) {
    // The child has this process's view.
    Status entered = gainMountRights();
    if (Status seen = enterView(*program_.view); entered) entered = seen;
    if (!entered) {
      user_.client.warn("files are not at the paths that the compiler has them: " + entered.error().message);
    }
  }
  std::vector<std::string> arguments = {program_.name};
  arguments.insert(arguments.end(), program_.rtsOptions.begin(), program_.rtsOptions.end());
  child_.emplace(program_.path, std::move(arguments), std::nullopt, "--fd");
  if (!child_->started()) return child_->started().error().within("the interpreter could not be started");
  transcript_.emplace(child_->takeSocket(), &user_.attention);
  return sayHello();
}

Status ChildInterpreter::sayHello() {
  capnp::MallocMessageBuilder builder;
  auto hello = builder.initRoot<schema::ToInterpreter>().initHello();
  hello.setProtocolVersion(schema::PROTOCOL_VERSION);
  hello.setGhcVersion(program_.ghcVersion);
  hello.setBuildIdentity(program_.identity);
  hello.setWay(program_.way);
  hello.setIgnoredSignals(program_.ignoredSignals);
  hello.setBlockedSignals(program_.blockedSignals);
  if (!put(builder, true)) return gone();
  return Done{};
}

Result<Interpreter::Answer> ChildInterpreter::answer(schema::Request::Reader request, schema::Reply::Builder reply) {
  return answerWithoutInterpreter(request, program_.libraries, reply) ? Answer::kWhole : Answer::kNone;
}

size_t ChildInterpreter::mostPending() const { return program_.verbose ? 1 : kMostPending; }

Status ChildInterpreter::put(capnp::MessageBuilder& message, bool) { return transcript_->send(message); }

Status ChildInterpreter::sendAnswer(capnp::MessageBuilder& message) {
  if (!put(message, true)) return gone();
  return Done{};
}

ChildInterpreter::Message ChildInterpreter::take() { return taken(transcript_->receive()); }

ChildInterpreter::Message ChildInterpreter::taken(Message message) {
  if (!message) return message.error().within("the interpreter's answer");
  if (!*message) return gone();
  if (greeted_) return message;
  auto greeting = **message;
  if (!greeting.isHello()) return Error{"the interpreter's first message is not a hello"};
  if (greeting.getHello().isRefused()) {
    return Error{std::string("the interpreter refuses: ") + greeting.getHello().getRefused().cStr()};
  }
  greeted_ = true;
  return std::optional<schema::FromInterpreter::Reader>();
}

std::optional<Child::Exit> ChildInterpreter::end(Ending why, Attention& attention) {
  // Hanging up ends the interpreter, unless it is ending already.
  if (why != Ending::kToldTo) transcript_.reset();
  if (!child_ || !child_->started()) return std::nullopt;
  // One that has not greeted has done nothing that it would have to put in order.
  bool isBrief = why == Ending::kFailed || !greeted_;
  return child_->wait(isBrief ? kErrorPatienceMs : kShutdownPatienceMs, &attention);
}

}  // namespace splicehost
