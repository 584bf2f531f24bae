// A front end on another machine, as the front end on the target sees it.
//
// Its requests name files by content, which the fetcher brings, and are given to the interpreter with the paths that
// the content has here. The replies go back in the order of the requests, and after what was printed before them.
#pragma once

#include <capnp/message.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "iserv/front_end/client.h"
#include "iserv/remote/channel.h"
#include "iserv/remote/content_fetcher.h"
#include "iserv/remote/content_store.h"
#include "iserv/remote/output_forwarder.h"
#include "iserv/remote/reply_reorder_buffer.h"
#include "protocol/remote.capnp.h"

namespace splicehost::remote {

// Content that the interpreters of this directory have already, by digest. It is the path of a shared object that the
// interpreter is linked with, or empty if there is nothing to be loaded.
using BootContent = std::map<linker::ContentDigest, std::string>;

class RemoteClient : public Client {
 public:
  // All must outlive this. What the interpreter prints arrives at `output` and `errors`, which are not blocking.
  RemoteClient(Channel& channel, ContentStore& store, const BootContent& boot, kj::AutoCloseFd output,
               kj::AutoCloseFd errors);
  RemoteClient(const RemoteClient&) = delete;
  RemoteClient& operator=(const RemoteClient&) = delete;

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

  Status handle(schema::ToTarget::Reader message);
  Status handleInterpreter(schema::ToTarget::Reader message);
  void sendWanted();
  void nameFile(schema::Request::Reader theirs, const std::string& path, schema::Request::Builder ours);
  bool sendReply(uint64_t number, schema::Reply::Reader reply);
  bool sendLoaded(uint64_t number, schema::Request::Reader request, const std::string& path);
  bool told(const Status& sent);

  Channel& channel_;
  const BootContent& boot_;
  ContentFetcher fetcher_;
  ReplyReorderBuffer replies_;
  OutputForwarder printed_;
  kj::AutoCloseFd events_;
  std::deque<Incoming> incoming_;
  std::map<uint64_t, uint64_t> handles_;  // of shared objects: theirs to ours
  std::vector<std::byte> answer_;
  std::string reason_;
  int signal_ = 0;
  bool gone_ = false;
};

}  // namespace splicehost::remote
