// An interpreter on another machine, reached through a command, a Unix socket or TCP.
//
// What a request names by a file travels by content: the request goes ahead with the digest, and the target says if it
// lacks it. So a compile whose libraries the target has costs no round trip for them.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "iserv/front_end/interpreter.h"
#include "iserv/front_end/placed_data.h"
#include "iserv/remote/channel.h"
#include "iserv/remote/connect.h"
#include "iserv/remote/digest_memory.h"
#include "iserv/remote/host_files.h"
#include "iserv/remote/project_files.h"

namespace splicehost::remote {

struct RemoteOptions {
  Destination destination;
  Milliseconds connectPatience{30'000};
  std::string digestFile;    // where digests are remembered; empty: nowhere
  std::string architecture;  // what the compiler's code is for
  std::optional<ProjectSelection> files;
  std::vector<std::string> variables;  // of the environment, for interpreted code
  std::vector<std::string> rtsOptions;
  std::string ghcVersion;
  schema::Way way = schema::Way::VANILLA;
  std::string buildIdentity;
  std::set<std::string> libraries;  // system libraries that it is linked with: "libgmp.so"
};

class RemoteInterpreter : public Interpreter {
 public:
  // Connects, and says hello; the answer is awaited when something is. Fails with what could not be reached.
  static Result<std::unique_ptr<Interpreter>> connect(RemoteOptions options, Attention& attention);
  // The same, over a connection to the destination that is there already.
  static Result<std::unique_ptr<Interpreter>> over(Connected connected, RemoteOptions options, Attention& attention);
  ~RemoteInterpreter() noexcept(false) override;

  Result<Answer> answer(schema::Request::Reader request, schema::Reply::Builder reply) override;
  Status sendAnswer(capnp::MessageBuilder& message) override;
  void flush() override;
  bool hasUnsent() const override { return !ended_ && channel_->unsent() > 0; }
  size_t mostPending() const override;
  Result<bool> ready() override;
  bool buffered() const override { return message_.has_value() || channel_->buffered(); }
  int fd() const override { return channel_->fd(); }
  int patienceMs() const override;
  void interrupt() override { interrupt_ = true; }
  std::string hintOnMissing(const std::string& subject) const override;
  std::optional<Child::Exit> end(Ending why, Attention& attention) override;

 private:
  RemoteInterpreter(RemoteOptions options, Attention& attention, Connected connected);

  Status put(capnp::MessageBuilder& message, bool awaited) override;
  Result<std::optional<schema::FromInterpreter::Reader>> take() override;
  void sendPlaced(const std::string& subject);
  bool answerAhead(schema::Request::Reader request, schema::Reply::Builder reply) const;
  Status sayHello();
  Status sendRequest(schema::ToInterpreter::Reader message, bool awaited);
  Status sendOne(schema::ToInterpreter::Reader message, const std::optional<ContentSource>& content,
                 const std::string& file, bool awaited);
  Status sendLoadDll(schema::ToInterpreter::Reader message, const std::string& file, bool awaited);
  Status sendPart();
  void sendInterrupt();
  void print(int stream, capnp::Data::Reader text);
  Status sendAlone(schema::Request::Which which, const std::string& file, const std::optional<ContentSource>& content);
  Status handle(schema::FromTarget::Reader message);
  Status handleHello(schema::TargetHello::Reader hello);
  Error lost(const std::string& how);

  RemoteOptions options_;
  Attention& attention_;
  Connected connected_;
  std::unique_ptr<Channel> channel_;
  DigestMemory digests_;
  HostFiles files_;
  // What was loaded from these paths.
  std::map<std::string, std::optional<ContentSource>> loaded_;
  PlacedData placed_;
  std::string libraryDirectory_;  // that the compiler has named last
  // Replies to requests that the front end has not made are not for it: by request, whether one is.
  std::deque<bool> replies_;
  struct Wanted {
    linker::ContentDigest digest;
    uint64_t offset = 0;
  };
  std::deque<Wanted> wanted_;                               // by the target
  std::optional<schema::FromInterpreter::Reader> message_;  // for receive()
  std::chrono::steady_clock::time_point started_;
  bool interrupt_ = false;  // is to be sent
  bool greeted_ = false;
  bool ended_ = false;
  std::optional<Child::Exit> end_;
  std::string reason_;
  std::string directory_;  // the working directory
};

}  // namespace splicehost::remote
