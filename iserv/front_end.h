// The front end: what GHC starts as its external interpreter. It speaks GHC's wire on GHC's pipes and
// Cap'n Proto with the interpreter, and runs nothing itself.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "iserv/child.h"
#include "iserv/dialogue.h"
#include "iserv/shared_interpreter.h"
#include "protocol/ghc_messages.h"
#include "protocol/ghc_versions.h"

namespace splicehost {

// What the command line and the folder of the program say.
struct FrontEndOptions {
  int writeFd = -1;  // GHC reads what is written here
  int readFd = -1;   // what GHC writes
  bool verbose = false;
  std::vector<std::string> rtsOptions;  // with +RTS, or empty

  const ghc::Version* version = nullptr;
  schema::Way way = schema::Way::VANILLA;
  std::string program;      // the interpreter
  std::string programName;  // its argv[0]: names its profile reports
  std::string identity;     // its build identity
  std::set<std::string> libraries;  // system libraries that it is linked with: "libgmp.so"
  std::string broker;       // the broker's program; empty if there is to be none
  uint64_t ignoredSignals = 0;  // as in ClientHello
  uint64_t blockedSignals = 0;
};

class FrontEnd {
 public:
  explicit FrontEnd(const FrontEndOptions& options);

  // Relays until GHC shuts the interpreter down or goes away. The result is the exit status; whatever
  // is not success has been explained on stderr. If the interpreter was killed by a signal, this
  // process ends itself by the same one, so that GHC reports it as it would report its own.
  int run();

 private:
  // GHC's pipe, as far as it has been read.
  struct Incoming {
    std::vector<std::byte> bytes;
    std::unique_ptr<std::byte[]> buffer;  // for what is read at a time
    size_t begin = 0;
    bool ended = false;
    ghc::Bytes unread() const { return ghc::Bytes(bytes).subspan(begin); }
  };
  // A request that the interpreter has not answered yet.
  struct Pending {
    schema::Request::Which which;
    std::string subject;  // for an error message
    // GHC has its answer already; what is awaited is the same one.
    bool answered = false;
    std::string symbol;  // that is looked up
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
  std::optional<Child::Exit> waitForEnd(bool orderly);
  Result<Next> relayOne();
  Result<Next> readMessage(size_t* size, schema::Request::Builder request);
  Status waitForGhc();
  Status replay();
  Status checkReplayed(const Pending& request, schema::Reply::Reader reply);
  void readSome(uint64_t atLeast);
  Result<Next> carryOut(schema::Request::Reader request, capnp::MessageBuilder& message);
  Result<Next> awaitReplies();
  Result<Next> awaitReply(const Pending& request);
  Result<Next> answer(const Pending& request, schema::Reply::Reader reply);
  Result<bool> waitForInterpreter(bool relayAnswers);
  Status sendAnswer(ghc::Bytes bytes);
  Error interpreterGone();
  void trace(const char* direction, const std::string& text, size_t size, uint64_t nanoseconds);

  const FrontEndOptions& options_;
  // How there comes to be an interpreter: from the broker, or else as a child.
  std::unique_ptr<SharedInterpreter> shared_;
  std::optional<Child> child_;
  // To the interpreter, once there is one.
  std::optional<Dialogue> connection_;
  Incoming incoming_;
  BriefWait wait_;
  uint64_t messages_ = 0;  // requests decoded so far
  std::deque<Pending> pending_;  // the interpreter is busy with the first one
  std::optional<Child::Exit> sessionEnd_;  // how a session of the broker's ended, once that is known
  bool greeted_ = false;
  bool interpreterGone_ = false;
};

}  // namespace splicehost
