// An interpreter process that has loaded libraries, run nothing, and waits: for more to load, for being
// forked, or for becoming a client's session (protocol/broker.capnp, ToZygote).
//
// Note [What a zygote must not do]. Whatever a zygote has done, all sessions that are forked from it have done. So it
// evaluates no Haskell code. And the RTS's timer is off. It would have the RTS collect garbage when it is idle, and
// touch the memory that forks share. A fork that can only become a session is no zygote any more. It warms up: it does
// ahead of time what that session would do first.
//
// Constructors of C and C++ code run nevertheless. Where one has changed anything that a fork does not have in
// the same way (iserv/base/process_state.h), the process says so, and is no zygote any more.
#pragma once

#include <span>
#include <vector>

#include "iserv/interpreter/evaluator.h"
#include "iserv/interpreter/forked_children.h"
#include "iserv/interpreter/preloader.h"
#include "iserv/interpreter/session.h"
#include "protocol/broker.capnp.h"
#include "protocol/packet_socket.h"

namespace splicehost {

class Zygote final : private ForkedProcess {
 public:
  // How the process is to end when its session is over. Does not return.
  using End = void (*)(Session& session);

  // Takes over `socket`, to the broker. Once in a process, after the RTS was started.
  Zygote(const InterpreterBuild& build, kj::AutoCloseFd socket, End end);

  // Takes orders until this process has become a session, which has exchanged hellos with its client and
  // is the result. If the broker hangs up before, or the session cannot be, the process ends.
  Session& takeOrders();

 private:
  bool warmsUp() const override { return childPurpose_ == schema::ForkPurpose::SESSION; }
  Evaluations& prepare() override;
  [[noreturn]] void end() override;

  void sayReady();
  void waitForOrder();
  void reportEnded();
  void fork(schema::ForkPurpose purpose, kj::AutoCloseFd socket);
  Status startSession(schema::StartSession::Reader order, std::vector<kj::AutoCloseFd>& fds);
  void send(capnp::MessageBuilder& message, std::span<const int> fds = {});

  Session session_;
  Preloader preloader_{session_.linker()};
  PacketSocket broker_;
  End end_;
  bool isFork_ = false;
  ForkedChildren children_;
  // For the child to find.
  kj::AutoCloseFd childSocket_;
  schema::ForkPurpose childPurpose_ = schema::ForkPurpose::ZYGOTE;
};

}  // namespace splicehost
