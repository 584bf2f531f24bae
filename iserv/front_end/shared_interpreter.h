// An interpreter that is the broker's: what is recorded of it, at first, and when something must run, a session. Where
// the broker provides none, a child.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "iserv/front_end/broker_connection.h"
#include "iserv/front_end/child_interpreter.h"

namespace splicehost {

class SharedInterpreter : public ChildInterpreter {
 public:
  // Fails as BrokerConnection::open(). `program` must outlive the result.
  static Result<std::unique_ptr<Interpreter>> open(const InterpreterProgram& program, InterpreterUser user);

  Result<Answer> answer(schema::Request::Reader request, schema::Reply::Builder reply) override;
  Status sendAnswer(capnp::MessageBuilder& message) override;
  Result<bool> ready() override { return transcript_.has_value(); }
  void interrupt() override;
  std::optional<Child::Exit> end(Ending why, Attention& attention) override;

 private:
  SharedInterpreter(const InterpreterProgram& program, InterpreterUser user, std::unique_ptr<BrokerConnection> broker)
      : ChildInterpreter(program, std::move(user)), broker_(std::move(broker)) {}

  Result<std::optional<schema::FromInterpreter::Reader>> take() override;
  Status getInterpreter();
  Status attachSession();
  Status goAlone();
  Status replay();
  bool repeatSession();
  void note(schema::Request::Reader request);

  std::unique_ptr<BrokerConnection> broker_;  // null once there is a child
  std::optional<Child::Exit> sessionEnd_;     // how the session ended, once that is known
  std::string symbol_;                        // that is looked up
};

// The broker's if the program has one and it can be reached, and else a child; why not is told to the client.
Result<std::unique_ptr<Interpreter>> startInterpreter(const InterpreterProgram& program, InterpreterUser user);

}  // namespace splicehost
