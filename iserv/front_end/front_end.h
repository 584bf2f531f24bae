// The front end: what GHC starts as its external interpreter. It speaks GHC's wire on GHC's pipes and
// Cap'n Proto with the interpreter, and runs nothing itself. The interpreter can be on another machine, and there
// another front end is what looks after it: its client is the first one.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "iserv/front_end/child.h"
#include "iserv/front_end/client.h"
#include "iserv/front_end/placed_data.h"
#include "iserv/front_end/shared_interpreter.h"
#include "iserv/front_end/transcript.h"
#include "protocol/ghc_messages.h"
#include "protocol/ghc_versions.h"

namespace splicehost {

// An interpreter on another machine, as a front end needs it.
class RemoteLink : public InterpreterLink {
 public:
  // How it ended, once the link has; nothing if nobody knows.
  virtual std::optional<Child::Exit> end() const = 0;
  // Has the interpreter's splice interrupted, when the link is used next. May be called in a wait of the link's.
  virtual void interrupt() = 0;
};

// What the command line and the directory of the program say.
struct FrontEndOptions {
  bool verbose = false;
  std::vector<std::string> rtsOptions;  // with +RTS, or empty

  const ghc::Version* version = nullptr;
  schema::Way way = schema::Way::VANILLA;
  std::string program;              // the interpreter
  std::string programName;          // its argv[0]: names its profile reports
  std::string identity;             // its build identity
  std::set<std::string> libraries;  // system libraries that it is linked with: "libgmp.so"
  std::string broker;               // the broker's program; empty if there is to be none
  uint64_t ignoredSignals = 0;      // as in ClientHello
  uint64_t blockedSignals = 0;
  // What of the file system the interpreter is to see otherwise than this process does.
  std::optional<FileView> view;
  // Connects to an interpreter on another machine; empty if it is to be on this one. The attention outlives the link.
  std::function<Result<std::unique_ptr<RemoteLink>>(Attention&)> connect;
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
  // A request that the interpreter has not answered yet.
  struct Pending {
    schema::Request::Which which;
    std::string subject;  // for an error message
    // GHC has its answer already; what is awaited is the same one.
    bool answered = false;
    std::string symbol;   // that is looked up
    uint64_t serial = 0;  // its number among the client's
  };

  enum class Next { kContinue, kShutdown, kGhcGone };

  Status start();
  Status attachSession();
  Status goAlone();
  bool repeatSession();
  SharedProgram sharedProgram() const;
  Status startChild();
  Status sendHello();
  Status awaitGreeting();
  std::optional<Child::Exit> waitForEnd(bool orderly, uint64_t patienceMs);
  Result<Next> hearOut();
  Result<Next> relayOne();
  Result<Next> readMessage(size_t* size, schema::ToInterpreter::Builder message);
  Status waitForGhc();
  Status replay();
  Status checkReplayed(const Pending& request, schema::Reply::Reader reply);
  Result<Next> carryOut(schema::Request::Reader request, capnp::MessageBuilder& message);
  Result<Next> awaitReplies();
  Result<Next> awaitReply(const Pending& request);
  Result<Next> answerMissing(const Pending& request, const std::string& why);
  Result<Next> answer(const Pending& request, schema::Reply::Reader reply);
  Result<bool> waitForInterpreter(bool relayAnswers);
  Status sendAnswer(ghc::Bytes bytes);
  Error interpreterGone();
  bool answersAhead(schema::Request::Reader request, schema::Reply::Builder reply) const;
  int wait(std::span<pollfd> fds);
  void interrupt();
  bool isEvaluating() const;

  const FrontEndOptions& options_;
  Client& client_;
  Attention attention_;
  // Whether there is a request that is not answered, or none could be made yet: the client may be waiting.
  bool inHand_ = true;
  // Whether there is more in the interpreter than what was loaded.
  bool ranStatement_ = false;
  // Whether the user has pressed ^C since the client's turn, without effect.
  bool interrupted_ = false;
  std::optional<Attention> ending_;  // what the interpreter's end is awaited with
  // How there comes to be an interpreter: from the broker, or else as a child.
  std::unique_ptr<SharedInterpreter> shared_;
  std::optional<Child> child_;
  std::unique_ptr<RemoteLink> remote_;
  // To an interpreter on this machine, once there is one.
  std::optional<Transcript> transcript_;
  // To whichever it is.
  InterpreterLink* connection_ = nullptr;
  PlacedData placed_;  // in a remote interpreter
  AdaptivePolling wait_;
  std::string libraryDirectory_;           // that GHC has named last
  uint64_t messages_ = 0;                  // requests decoded so far
  std::deque<Pending> pending_;            // the interpreter is busy with the first one
  std::optional<Child::Exit> sessionEnd_;  // how a session of the broker's ended, once that is known
  bool greeted_ = false;
  bool interpreterGone_ = false;
};

}  // namespace splicehost
