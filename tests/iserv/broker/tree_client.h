// A client that a tree of zygotes gives a session, as fake_zygote.cc has them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "iserv/broker/zygote_tree.h"
#include "protocol/packet_socket.h"

namespace splicehost::broker::testing {

// Must stay where it is until it has its answer.
class TreeClient {
 public:
  // Asks for a session at a node, `like` one of this zygote.
  TreeClient(ZygoteTree& tree, NodeId node, pid_t like = 0) {
    auto [ours, theirs] = connected(SOCK_STREAM);
    stream_ = kj::mv(ours);
    capnp::MallocMessageBuilder message;
    auto attach = message.initRoot<schema::ToBroker>().initAttach();
    attach.setNode(node);
    attach.setLike(static_cast<uint32_t>(like));
    auto [sender, receiver] = connected(SOCK_SEQPACKET);
    int fds[] = {theirs.get()};
    EXPECT_TRUE(PacketSocket(kj::mv(sender)).send(message, fds));
    auto packet = PacketSocket(kj::mv(receiver)).receive<schema::ToBroker>();
    tree.attach({kj::mv(**packet), tree.pathTo(node).value_or(std::vector<Operation>()),
                 [this](Result<NewSession> answer) { answer_.emplace(std::move(answer)); }});
  }
  TreeClient(const TreeClient&) = delete;
  TreeClient& operator=(const TreeClient&) = delete;

  bool isAnswered() const { return answer_.has_value(); }
  bool hasSession() const { return answer_ && answer_->ok(); }
  NewSession& session() { return **answer_; }
  std::string refusal() const { return answer_ && !answer_->ok() ? answer_->error().message : ""; }
  // What the session says of itself, in its first line.
  std::string says() {
    std::string line;
    for (char next; read(stream_.get(), &next, 1) == 1 && next != '\n';) line += next;
    return line;
  }

 private:
  static std::pair<kj::AutoCloseFd, kj::AutoCloseFd> connected(int type) {
    int ends[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) abort();
    return {kj::AutoCloseFd(ends[0]), kj::AutoCloseFd(ends[1])};
  }

  kj::AutoCloseFd stream_;
  std::optional<Result<NewSession>> answer_;
};

}  // namespace splicehost::broker::testing
