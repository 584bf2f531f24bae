// The broker: accepts clients, leads them to the zygotes of their interpreters, and keeps the zygotes
// within the user's limits. See protocol/broker.capnp.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "iserv/base/configuration.h"
#include "iserv/broker/digests.h"
#include "iserv/broker/event_loop.h"
#include "iserv/broker/growing_tree.h"
#include "iserv/broker/log.h"
#include "iserv/broker/memory_use.h"
#include "iserv/broker/processes.h"
#include "iserv/broker/rendezvous.h"
#include "iserv/broker/status.h"
#include "protocol/broker.capnp.h"
#include "protocol/packet_socket.h"

namespace splicehost::broker {

class Broker {
 public:
  // `program` is this program's path. `rendezvous` is locked, and listens on `socket`.
  Broker(uv_loop_t& loop, const Log& log, const Configuration& configuration, Rendezvous& rendezvous,
         kj::AutoCloseFd socket, std::string program);

  // Stops the loop when the broker has ended.
  void stop();

 private:
  using ClientId = uint64_t;

  struct Client {
    ClientId id;
    uint32_t processId;
    PacketSocket socket;
    Watch watch;
    uint64_t since;  // in the loop's time
    bool greeted = false;
    uint32_t pending = 0;                    // what it has asked for and was not answered
    std::shared_ptr<GrowingTree> tree = {};  // of a front end
    // Of the one attach:
    bool hasAttached = false;
    NodeId node = 0;
    std::vector<Operation> path = {};  // to the node, with absolute paths
    pid_t session = 0;                 // until it has ended
    bool awaitsEnd = false;            // it said stop
  };

  struct Session : RunningSession {
    std::unique_ptr<ZygoteProcess> process;  // until it has taken over
  };

  void listen();
  void accept();
  void receive(ClientId id);
  Status handle(Client& client, PacketSocket::Packet packet);
  Status greet(Client& client, schema::BrokerClientHello::Reader hello);
  Status lead(Client& client, schema::InterpreterKey::Reader key);
  Status attach(Client& client, PacketSocket::Packet packet);
  void attached(ClientId id, Result<NewSession> result);
  void sessionEnded(pid_t process, ClientId id, Ended how);
  void identify(Client& client, std::string path);
  Status report(Client& client, schema::Report::Reader report);
  void sendStatus(ClientId id);
  BrokerState state() const;
  Status refuse(Client& client, const std::string& why);
  Status refuseOnce(Client& client, const std::string& why);
  // Hangs up on a client that does not take it.
  void send(ClientId id, capnp::MessageBuilder& message);
  // The same, with what it asked for and has waited for.
  void answer(ClientId id, capnp::MessageBuilder& message);
  void hangUpOnSilent();

  void tick();
  void keepLimits();
  bool dropSuperseded();
  bool letOneGo(const std::string& why);
  void letIdleGo();
  void refreshMemory();
  // Measures all zygotes and spares, elsewhere, and calls back.
  void measure(std::function<void(const MemoryUses&)> done);
  uint64_t activity() const;

  enum class Sessions { kWaitFor, kLeave };
  void windDown(const std::string& why, Sessions sessions);
  void endIfDone();

  uv_loop_t& loop_;
  const Log& log_;
  const Configuration configuration_;
  Rendezvous& rendezvous_;
  kj::AutoCloseFd socket_;
  const std::string program_;
  std::string told_;  // by refuseOnce(), last
  const Result<linker::FileSignature> programSignature_;
  const bool hadTerminal_;
  const int64_t started_;

  Processes processes_;
  Digests digests_;
  // By the canonical form of their keys.
  std::map<std::string, std::shared_ptr<GrowingTree>> trees_;
  std::map<ClientId, Client> clients_;
  std::map<pid_t, Session> sessions_;
  ClientId lastClient_ = 0;

  SessionTotals totals_;
  uint64_t lastUsed_;  // in the loop's time: when a front end came
  MemoryUses memory_;  // as last measured
  uint64_t measuredActivity_ = 0, measuredAt_ = 0;
  bool measuring_ = false;

  bool windingDown_ = false;
  bool waitsForSessions_ = false;
  uint64_t deadline_ = 0;  // for zygotes to be gone

  Watch listener_;
  Timer ticker_;
  Timer ender_;
  SignalWatch terminate_, interrupt_;
};

}  // namespace splicehost::broker
