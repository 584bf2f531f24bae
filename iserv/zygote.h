// An interpreter process that has loaded libraries, run nothing, and waits: for more to load, for being
// forked, or for becoming a client's session (protocol/broker.capnp, ToZygote).
//
// Note [What a zygote must not do]. Whatever a zygote has done, all sessions that are forked from it have
// done. So it evaluates no Haskell code. And the RTS's timer is off, which would have it collect garbage
// when it is idle, and touch the memory that forks share. A fork that can only become a session is no zygote any more: it warms
// up, which is to do ahead of time what that session would do first.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "iserv/evaluator.h"
#include "iserv/session.h"
#include "protocol/broker.capnp.h"
#include "protocol/packet_socket.h"

namespace splicehost {

class Zygote final : private ForkedProcess {
 public:
  // How the process is to end when its session is over.
  using End = void (*)(Session& session);

  // Takes over `socket`, to the broker. Once in a process, after the RTS was started.
  Zygote(const InterpreterBuild& build, kj::AutoCloseFd socket, End end);

  // Takes orders until this process has become a session, which has exchanged hellos with its client and
  // is the result. If the broker hangs up before, or the session cannot be, the process ends.
  Session& takeOrders();

 private:
  // A fork of this process, until it ends.
  struct ForkedChild {
    pid_t processId;
    kj::AutoCloseFd pidFd;  // readable when it has ended
  };

  bool warmsUp() const override { return childPurpose_ == schema::ForkPurpose::SESSION; }
  Evaluations& prepare() override;
  [[noreturn]] void end() override;

  void waitForOrder();
  void reportEnded();
  void load(schema::LoadOperation::Reader operation, schema::Loaded::Builder loaded);
  Status perform(schema::LoadKind kind, const std::string& file);
  void fork(schema::ForkPurpose purpose, kj::AutoCloseFd socket);
  Status become(schema::Become::Reader order, std::vector<kj::AutoCloseFd>& fds);
  void send(capnp::MessageBuilder& message);

  Session session_;
  PacketSocket broker_;
  End end_;
  // The operations that were done here: their files, empty if an operation has none.
  std::vector<std::string> files_;
  std::vector<ForkedChild> children_;
  // For the child to find.
  kj::AutoCloseFd childSocket_;
  schema::ForkPurpose childPurpose_ = schema::ForkPurpose::ZYGOTE;
};

}  // namespace splicehost
