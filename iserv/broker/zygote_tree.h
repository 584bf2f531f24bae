// All zygotes of one interpreter: the root zygote, which has loaded nothing, and those that were grown from
// it. Gives clients sessions.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "iserv/broker/conditions.h"
#include "iserv/broker/digests.h"
#include "iserv/broker/event_loop.h"
#include "iserv/broker/load_trie.h"
#include "iserv/broker/log.h"
#include "iserv/broker/processes.h"
#include "iserv/broker/zygote_process.h"
#include "protocol/packet_socket.h"

namespace splicehost::broker {

// A process that has become a session, and what it got.
struct NewSession {
  std::unique_ptr<ZygoteProcess> process;
  pid_t zygote = 0;
  uint32_t replayed = 0;          // operations that it has to do itself
  uint64_t savedNanoseconds = 0;  // what the others took the zygotes
  bool hit = false;               // nothing to do itself, and something saved
};

// A client's wish for a session.
struct SessionOrder {
  PacketSocket::Packet packet;  // with ToBroker.attach
  std::vector<Operation> path;  // of the node, with the client's names of the files
  std::function<void(Result<NewSession>)> done;

  // For the tree.
  std::vector<NodeId> nodes = {};  // from the root to the client's
  bool triedRoot = false;          // a root zygote was started for this order
  int failures = 0;                // forks that were ordered for it and died
  uint64_t since = 0;              // when it began to wait
};

// Note [Zygotes do not change]. All forks of a zygote are the same, down to the addresses of what they link: a session
// that was killed can be repeated by another one (iserv/front_end/transcript.h). So symbols are not linked in a zygote
// that may have sessions, but in a fork of it. That is its successor, and takes its place then. The zygote is
// superseded: it stays for those of its sessions that go on.
struct Zygote {
  using Forks = std::vector<std::unique_ptr<ZygoteProcess>>;

  LoadTrie::Node* node = nullptr;
  std::unique_ptr<ZygoteProcess> process;
  std::unique_ptr<ZygoteProcess> successor;  // while it links symbols
  uint64_t successorSince = 0;               // in the loop's time
  std::vector<std::string> linking;          // what it was told to link
  bool linkingFailed = false;                // it ended, and what it was told is tried once more
  std::vector<std::string> symbols;          // for the one after it
  Conditions conditions;
  std::deque<SessionOrder> waiting;
  Forks starting;  // to become sessions
  Forks spares;
  Timer refill;
  uint64_t lastFork = 0;  // when one got ready, in the loop's time
  uint64_t lastUsed = 0;  // in the loop's time; of a superseded one, when it last had a session
  uint64_t sessions = 0;  // that came from here

  bool isBusy() const { return !process->isReady() || !waiting.empty() || !starting.empty() || successor; }
};

class ZygoteTree {
 public:
  struct Parts {
    uv_loop_t& loop;
    const Log& log;
    Processes& processes;
    Digests& digests;
    uint32_t spares;  // how many to keep ready for a zygote that is in use
  };

  ZygoteTree(const Parts& parts, Interpreter interpreter);
  ZygoteTree(const ZygoteTree&) = delete;
  ZygoteTree& operator=(const ZygoteTree&) = delete;

  // Starts the root zygote, if there is none.
  Status start();
  // The trie for clients, and its size. The fd is this object's.
  struct Image {
    int fd;
    size_t bytes;
  };
  Result<Image> image();
  // The operations from the root to a node; nothing if there is no such node.
  std::optional<std::vector<Operation>> pathTo(NodeId node) const;
  // Calls order.done, now or later.
  void attach(SessionOrder order);

  const Interpreter& interpreter() const { return interpreter_; }
  LoadTrie& trie() { return trie_; }
  const LoadTrie& trie() const { return trie_; }
  // In the order of their nodes' ids: the root first.
  const std::map<NodeId, std::unique_ptr<Zygote>>& zygotes() const { return zygotes_; }
  // Whether a zygote was grown from this one, or from a fork of it.
  bool isInner(const Zygote& zygote) const;
  // A number that changes when memory is put to use.
  uint64_t activity() const { return activity_; }

  // Ends a zygote and its spares.
  void letGo(NodeId node, const std::string& why);
  // Those that are kept only for sessions of theirs that may have to be repeated.
  const std::vector<std::unique_ptr<Zygote>>& superseded() const { return superseded_; }
  // Ends these. False if there is none.
  bool dropSuperseded();
  // Ends all, for good.
  void close();
  bool isClosed() const { return closed_; }
  // To be called now and then: ends what does not answer, or is not needed any more. Sessions that run are
  // forks of these processes.
  void tick(const std::set<pid_t>& inUse);

  // --- for the grower

  // Null if there is none.
  Zygote* zygoteAt(NodeId node);
  // A process that has done the operations up to this node, which has no zygote, is its zygote from now on.
  Zygote& add(LoadTrie::Node& node, std::unique_ptr<ZygoteProcess> process, Conditions conditions);
  // Symbols that sessions looked up where this zygote is.
  void lookUp(Zygote& zygote, std::span<const std::string> symbols);

 private:
  void serve(SessionOrder order);
  Zygote* zygoteLike(const SessionOrder& order);
  Zygote* nearestIntact(const SessionOrder& order, std::vector<SessionOrder>& displaced);
  void handOut(Zygote& zygote);
  bool give(Zygote& zygote, std::unique_ptr<ZygoteProcess> fork, SessionOrder& order);
  void orderForks(Zygote& zygote, size_t wanted);
  void refill(Zygote& zygote);
  size_t sparesFor(const Zygote& zygote) const;
  void forkReady(Zygote& zygote, const ZygoteProcess* fork);
  void forkGone(Zygote& zygote, const ZygoteProcess* fork, const std::string& why);
  void linkAhead(Zygote& zygote, std::span<const std::string> symbols);
  void linked(Zygote& zygote, const LookedUp& result);
  void leaveToSessions(Zygote& zygote, std::span<const std::string> symbols, const std::string& why);
  void supersede(Zygote& zygote);
  bool isSuperseded(const Zygote& zygote) const;
  Zygote& place(std::unique_ptr<Zygote> zygote, std::unique_ptr<ZygoteProcess> process);
  void dropFrom(LoadTrie::Node& node, const std::string& why, std::vector<SessionOrder>& displaced);
  std::deque<SessionOrder> remove(Zygote& zygote, const std::string& why);
  std::string describe(const Zygote& zygote) const;

  Parts parts_;
  const Interpreter interpreter_;
  const std::string name_;  // for the log
  LoadTrie trie_;
  std::map<NodeId, std::unique_ptr<Zygote>> zygotes_;
  std::vector<std::unique_ptr<Zygote>> superseded_;
  kj::AutoCloseFd image_;
  size_t imageBytes_ = 0;
  uint64_t imageRevision_ = 0;
  uint64_t activity_ = 0;
  bool closed_ = false;
};

}  // namespace splicehost::broker
