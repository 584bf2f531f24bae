// The front end: what GHC starts as its external interpreter. It speaks GHC's wire on GHC's pipes and
// Cap'n Proto with the interpreter, and runs nothing itself. The interpreter can be on another machine, and there
// another front end is what looks after it: its client is the first one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "iserv/front_end/client.h"
#include "iserv/front_end/interpreter.h"
#include "protocol/adaptive_polling.h"
#include "protocol/ghc_messages.h"
#include "protocol/ghc_versions.h"

namespace splicehost {

struct FrontEndOptions {
  const ghc::Version* version = nullptr;
  bool verbose = false;        // trace messages
  bool listsByteCode = false;  // in the trace
  // Gets an interpreter.
  std::function<Result<std::unique_ptr<Interpreter>>(InterpreterUser)> start;
  // That interrupt what the interpreter runs; null if there are none. They outlive the front end.
  Signals* signals = nullptr;
};

class FrontEnd {
 public:
  // Both must outlive this, and are its alone.
  FrontEnd(const FrontEndOptions& options, Client& client);

  // Relays until the client shuts the interpreter down or goes away. The result is the exit status; whatever
  // is not success has been explained to the client.
  int run();

 private:
  enum class Next { kContinue, kShutdown, kGhcGone };

  Result<Next> hearOut();
  Result<Next> relayOne();
  Result<Next> readMessage(size_t* size, schema::ToInterpreter::Builder message);
  Status waitForGhc();
  Result<Next> carryOut(schema::Request::Reader request, capnp::MessageBuilder& message);
  Result<Next> awaitReplies();
  Result<Next> relay(schema::FromInterpreter::Reader message);
  Result<Next> answer(const Interpreter::Pending& request, schema::Reply::Reader reply);
  Result<Next> tell(const Interpreter::Pending& request, schema::Reply::Reader reply);
  Result<bool> waitForInterpreter(bool relayAnswers);
  Status sendAnswer(ghc::Bytes bytes);
  int wait(std::span<pollfd> fds);
  void interrupt();
  bool isEvaluating() const;
  int explain(const std::string& message, const std::optional<Child::Exit>& exit);

  const FrontEndOptions& options_;
  Client& client_;
  Attention attention_;
  std::unique_ptr<Interpreter> interpreter_;  // null until it is started
  // Whether there is a request that is not answered, or none could be made yet: the client may be waiting.
  bool inHand_ = true;
  // Whether there is more in the interpreter than what was loaded.
  bool ranStatement_ = false;
  // Whether the user has pressed ^C since the client's turn, without effect.
  bool interrupted_ = false;
  std::optional<Attention> ending_;  // what the interpreter's end is awaited with
  AdaptivePolling wait_;
  uint64_t messages_ = 0;  // requests decoded so far
};

}  // namespace splicehost
