// A front end on another machine, as the front end on the target sees it.
#pragma once

#include <capnp/message.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "iserv/front_end/client.h"
#include "iserv/remote/channel.h"
#include "iserv/remote/content_store.h"
#include "protocol/remote.capnp.h"

namespace splicehost::remote {

// Content that the interpreters of this directory have already: by digest, the path of a shared object that the
// interpreter is linked with, or nothing if there is nothing to be loaded.
using BootContent = std::map<linker::ContentDigest, std::string>;

class RemoteClient : public Client {
 public:
  // All must outlive this. What the interpreter prints arrives at `output` and `errors`, which are not blocking.
  RemoteClient(Channel& channel, ContentStore& store, const BootContent& boot, kj::AutoCloseFd output,
               kj::AutoCloseFd errors);

  // Has content brought that is not the file of a request, and waits for it: within this time of silence. Fails if it
  // cannot be had.
  Result<std::map<linker::ContentDigest, std::string>> bring(const std::vector<schema::Content::Reader>& contents);

  // Says how it ended. The last that is sent.
  void finish(int status);

  Result<Next> next(schema::ToInterpreter::Builder message, size_t* size) override;
  Status takeIn() override;
  int fd() const override { return events_.get(); }
  bool buffered() const override { return channel_.buffered(); }
  int patienceMs() const override;
  bool takesInAlways() const override { return true; }
  int hangUpFd() const override { return channel_.fd(); }
  bool gone() const override { return gone_; }
  ghc::Bytes answerToSplice() override { return answer_; }
  void answerTaken(size_t bytes) override {
    answer_.erase(answer_.begin(), answer_.begin() + static_cast<ptrdiff_t>(bytes));
  }
  Result<bool> reply(uint64_t serial, schema::Request::Which which, schema::Reply::Reader reply) override;
  bool ask(ghc::Bytes question) override;
  void warn(const std::string& message) override;
  void complain(const std::string& message) override { reason_ = message; }
  int endedBySignal(int signal) override;

 private:
  struct Incoming {
    std::unique_ptr<capnp::MallocMessageBuilder> message;  // a ToTarget
    uint64_t number;
  };
  // Content that is on its way.
  struct Want {
    uint64_t size = 0;
    std::string name;
    std::optional<ContentStore::Arrival> arrival;  // none: somebody else receives it
    bool again = false;                            // it has arrived once, and was not what it should be
  };

  Status handle(schema::ToTarget::Reader message);
  Status want(const linker::ContentDigest& digest, uint64_t size, const std::string& name);
  Status take(schema::ContentPart::Reader part);
  Status lookForOthersContent();
  Status sendWanted();
  void passOnOutput();
  void passOn(int fd, uint8_t stream);
  void printed(uint8_t stream, std::string text);
  bool sendReply(uint64_t number, schema::Reply::Reader reply);
  bool answerReady();
  std::string translated(std::string text) const;
  bool told(Status sent);

  Channel& channel_;
  ContentStore& store_;
  const BootContent& boot_;
  kj::AutoCloseFd output_, errors_;
  kj::AutoCloseFd events_;
  std::deque<Incoming> incoming_;
  uint64_t arrived_ = 0;           // requests
  std::vector<uint64_t> numbers_;  // of requests that the front end was given, by its serial
  uint64_t nextReply_ = 0;         // the number of the request whose reply is due
  std::map<uint64_t, std::unique_ptr<capnp::MallocMessageBuilder>> early_;  // replies that are not due
  std::set<uint64_t> awaited_;
  size_t unsent_ = 0;  // replies
  std::map<linker::ContentDigest, Want> wants_;
  std::vector<std::pair<linker::ContentDigest, uint64_t>> toAskFor_;
  std::map<std::string, std::string> names_;            // a path here to its name there
  std::map<linker::ContentDigest, std::string> paths_;  // of what was loaded
  std::map<uint64_t, uint64_t> handles_;                // of shared objects: theirs to ours
  std::vector<std::byte> answer_;
  std::string reason_;
  int signal_ = 0;
  bool gone_ = false;
};

}  // namespace splicehost::remote
