// A process that takes orders (ToZygote in protocol/broker.capnp), seen from the broker: a zygote, or a
// fork of one that is to become a zygote or a session.
#pragma once

#include <kj/io.h>

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "iserv/broker/event_loop.h"
#include "iserv/broker/load_trie.h"
#include "iserv/broker/processes.h"
#include "protocol/packet_socket.h"

namespace splicehost::broker {

// What a client's InterpreterKey says to somebody who starts interpreters.
struct Interpreter {
  std::string program;
  std::string name;                      // its argv[0]
  std::vector<std::string> environment;  // all of it
  std::string ghcVersion;
  schema::Way way = schema::Way::VANILLA;
};

// What became of symbols.
struct LookedUp {
  uint32_t found = 0;
  // What is not for sharing, in words, and which of the symbols it came from; empty if nothing is. Otherwise the
  // process is of no use any more, and has not looked up those that follow.
  std::string effect;
  size_t first = 0;
  size_t count = 0;
};

// Owns the connection to the process, which ends when the broker hangs up, and is killed if it does not.
// What an order's callback is given is valid during the call only. A callback may destroy the object. No
// callback is called by the function that takes it, nor after the object is gone.
class ZygoteProcess {
 public:
  // Starts an interpreter, which has loaded nothing.
  static Result<std::unique_ptr<ZygoteProcess>> start(uv_loop_t& loop, Processes& processes,
                                                      const Interpreter& interpreter);
  ~ZygoteProcess();
  ZygoteProcess(const ZygoteProcess&) = delete;
  ZygoteProcess& operator=(const ZygoteProcess&) = delete;

  // Called once, when the process can take orders; they may be given before.
  void whenReady(std::function<void()> call) { ready_ = std::move(call); }
  // Called once, before that, if the process is not a fork: with what it was started with.
  void whenStarted(std::function<void(const LoadConditions&)> call) { started_ = std::move(call); }
  // Called once, when the process has hung up or is told to go because it does not keep to the protocol.
  void whenGone(std::function<void(const std::string& why)> call) { gone_ = std::move(call); }

  bool isReady() const { return isReady_; }
  // Known when it is ready; 0 before.
  pid_t id() const { return id_; }

  // Orders a fork, which is what this process is now.
  Result<std::unique_ptr<ZygoteProcess>> fork(schema::ForkPurpose purpose);
  void load(const Operation& operation, std::function<void(Result<DoneOperation>)> done);
  void lookUp(std::span<const std::string> symbols, std::function<void(LookedUp)> done);
  // Makes the process a session, which will hang up when it has taken over. Fails if it is gone. From here
  // on this object does not end the process.
  Status startSession(capnp::MessageBuilder& order, std::span<const int> fds);

 private:
  // An order that has not been answered.
  struct Order {
    schema::FromZygote::Which answer;
    std::function<void(schema::FromZygote::Reader, std::vector<kj::AutoCloseFd>&)> done;
  };

  ZygoteProcess(uv_loop_t& loop, Processes& processes, kj::AutoCloseFd socket);
  void give(capnp::MessageBuilder& order, Order expected, std::span<const int> fds = {});
  void receive();
  Status handle(schema::FromZygote::Reader message, std::vector<kj::AutoCloseFd>& fds);
  Status ready(uint32_t id);
  void end(const std::string& why);

  uv_loop_t& loop_;
  Processes& processes_;
  PacketSocket socket_;
  Watch watch_;
  std::function<void()> ready_;
  std::function<void(const LoadConditions&)> started_;
  std::function<void(const std::string&)> gone_;
  std::deque<Order> orders_;
  pid_t id_ = 0;
  bool isReady_ = false;
  bool isSession_ = false;
  // For those who want to know whether a callback has destroyed this object.
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace splicehost::broker
