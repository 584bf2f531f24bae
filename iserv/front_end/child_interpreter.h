// An interpreter that is a child of the front end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "iserv/front_end/child.h"
#include "iserv/front_end/interpreter.h"
#include "iserv/front_end/interpreter_program.h"
#include "iserv/front_end/transcript.h"

namespace splicehost {

class ChildInterpreter : public Interpreter {
 public:
  // Starts it, and says hello; the greeting is awaited when something is. Fails with why it could not be started.
  // `program` must outlive the result.
  static Result<std::unique_ptr<Interpreter>> start(const InterpreterProgram& program, InterpreterUser user);

  Result<Answer> answer(schema::Request::Reader request, schema::Reply::Builder reply) override;
  Status sendAnswer(capnp::MessageBuilder& message) override;
  size_t mostPending() const override;
  bool buffered() const override { return transcript_ && transcript_->buffered(); }
  int fd() const override { return transcript_ ? transcript_->fd() : -1; }
  std::optional<Child::Exit> end(Ending why, Attention& attention) override;

 protected:
  // How long an interpreter may take to end after it was told to or its client has hung up. It may have
  // profiling reports to write, and users have finalizers.
  static constexpr uint64_t kShutdownPatienceMs = 10'000;
  // How long when something went wrong.
  static constexpr uint64_t kErrorPatienceMs = 500;

  ChildInterpreter(const InterpreterProgram& program, InterpreterUser user)
      : program_(program), user_(std::move(user)) {}

  Status startChild();
  Status sayHello();
  Status put(capnp::MessageBuilder& message, bool awaited) override;
  Result<std::optional<schema::FromInterpreter::Reader>> take() override;
  bool isStarting() const override { return !greeted_; }
  // What was received: its first message, a hello, is not for the client.
  using Message = Result<std::optional<schema::FromInterpreter::Reader>>;
  Message taken(Message message);

  const InterpreterProgram& program_;
  const InterpreterUser user_;
  std::optional<Child> child_;
  // With whichever process it is, once there is one.
  std::optional<Transcript> transcript_;
  bool greeted_ = false;
};

}  // namespace splicehost
