#include "iserv/broker/broker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "iserv/base/process_identity.h"
#include "protocol/contain.h"

namespace splicehost::broker {

namespace {

constexpr uint64_t kTickMs = 1000;
// How often memory is measured, if it is in use.
constexpr uint64_t kMeasureMs = 5000;
// How long zygotes may take to go.
constexpr uint64_t kPatienceMs = 2500;
// How often to look whether they are gone.
constexpr uint64_t kEndMs = 10;

// Of connections on which nothing was said yet; the oldest goes for another one.
constexpr size_t kMostSilent = 256;
// How long one may be silent.
constexpr uint64_t kSilenceMs = 10'000;
// What one client may have asked for before it is answered. Clients of ours wait for each answer.
constexpr uint32_t kMostPending = 64;
// Kinds of interpreters that are in use at a time: each is a process, at the least.
constexpr size_t kMostTrees = 64;
// Bytes of what makes such a kind, most of which are variables of the environment.
constexpr size_t kMaxKey = size_t{4} << 20;
// Operations in a report, or symbols; some hundred packages have a few thousand.
constexpr uint32_t kMostReported = 20'000;
constexpr size_t kMaxReport = size_t{4} << 20;

std::string toText(capnp::Text::Reader text) { return {text.cStr(), text.size()}; }

// An operation with the client's own name for a file.
Operation asTold(const std::string& directory, schema::LoadKind kind, std::string file) {
  bool isDll = kind == schema::LoadKind::LOAD_DLL;
  Operation operation{kind, std::move(file)};
  if (operation.file.empty() || operation.file.front() == '/' || (isDll && !operation.hasPath())) return operation;
  if (isDll) operation.relative = static_cast<uint32_t>(directory.size() + 1);
  operation.file = directory + "/" + operation.file;
  return operation;
}

// The path of a directory of which there is an fd; empty if that cannot be told.
std::string pathOf(int directory) {
  char path[4096];
  ssize_t size = readlink(("/proc/self/fd/" + std::to_string(directory)).c_str(), path, sizeof path);
  return std::string(path, size < 0 ? 0 : static_cast<size_t>(size));
}

}  // namespace

Broker::Broker(uv_loop_t& loop, const Log& log, const Configuration& configuration, Rendezvous& rendezvous,
               kj::AutoCloseFd socket, std::string program)
    : loop_(loop),
      log_(log),
      configuration_(configuration),
      rendezvous_(rendezvous),
      socket_(kj::mv(socket)),
      program_(std::move(program)),
      programSignature_(linker::signatureOf(program_)),
      hadTerminal_(hasTerminal()),
      started_(linker::systemClock()),
      processes_(loop),
      digests_(loop),
      lastUsed_(uv_now(&loop)),
      ticker_(
          loop, kTickMs, [this] { tick(); }, true),
      terminate_(loop, SIGTERM, [this] { stop(); }),
      interrupt_(loop, SIGINT, [this] { stop(); }) {
  listen();
  log_("started: process " + std::to_string(getpid()) + ", " + program_);
}

void Broker::stop() { windDown("told to stop", Sessions::kLeave); }

// --- clients

void Broker::listen() {
  listener_ = Watch(loop_, socket_.get(), [this] { accept(); });
}

void Broker::accept() {
  kj::AutoCloseFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd.get() < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      log_(std::string("no client can be accepted for now: ") + std::strerror(errno));
      listener_ = Watch();  // until the next tick
    }
    return;
  }
  Result<Peer> peer = peerOf(fd.get());
  if (!peer || peer->user != geteuid()) {
    log_("a process of another user was turned away" + (peer ? ": user " + std::to_string(peer->user) : std::string()));
    return;
  }
  ClientId id = ++lastClient_;
  int number = fd.get();
  clients_.emplace(id, Client{id, static_cast<uint32_t>(peer->processId), PacketSocket(kj::mv(fd)),
                              Watch(loop_, number, [this, id] { receive(id); }), uv_now(&loop_)});
  hangUpOnSilent();
}

void Broker::hangUpOnSilent() {
  auto silent =
      static_cast<size_t>(std::ranges::count_if(clients_, [](const auto& entry) { return !entry.second.greeted; }));
  uint64_t now = uv_now(&loop_);
  // Ids rise, so the oldest are first.
  for (auto entry = clients_.begin(); entry != clients_.end() && silent > 0;) {
    const Client& client = entry->second;
    bool goes = !client.greeted && (silent > kMostSilent || client.since + kSilenceMs < now);
    if (!client.greeted) --silent;
    if (goes) log_("hung up on process " + std::to_string(client.processId) + ", which says nothing");
    entry = goes ? clients_.erase(entry) : std::next(entry);
  }
}

void Broker::receive(ClientId id) {
  Client& client = clients_.at(id);
  auto packet = client.socket.receive<schema::ToBroker>();
  if (packet && !*packet && client.socket.wouldBlock()) return;
  Status handled = packet ? Status(Done{}) : Status(packet.error());
  if (packet && *packet) {
    handled = contain([&] { return handle(client, kj::mv(**packet)); });
    if (handled) return;
  }
  if (!handled) {
    log_("hung up on process " + std::to_string(client.processId) + ": " + handled.error().message);
  }
  clients_.erase(id);
  endIfDone();
}

// Fails if the client does not keep to the protocol. Answers are sent to the client's id: the client may
// go while that is done.
Status Broker::handle(Client& client, PacketSocket::Packet packet) {
  auto message = packet.root<schema::ToBroker>();
  if (message.isHello() == client.greeted) {
    return Error{"its first message, and no other, is to be a hello"};
  }
  bool asks = message.isIdentify() || message.isStatus();
  if (asks && ++client.pending > kMostPending) return Error{"it asks on and does not wait for answers"};
  switch (message.which()) {
    case schema::ToBroker::HELLO:
      return greet(client, message.getHello());
    case schema::ToBroker::ATTACH:
      return attach(client, kj::mv(packet));
    case schema::ToBroker::IDENTIFY:
      if (message.getIdentify().size() >= PATH_MAX) return Error{"a path that is too long"};
      identify(client, toString(message.getIdentify()));
      return Done{};
    case schema::ToBroker::REPORT:
      return report(client, message.getReport());
    case schema::ToBroker::STATUS:
      sendStatus(client.id);
      return Done{};
    case schema::ToBroker::STOP:
      client.awaitsEnd = true;
      stop();
      return Done{};
  }
  return Error{"an unknown message"};
}

Status Broker::greet(Client& client, schema::BrokerClientHello::Reader hello) {
  client.greeted = true;
  if (hello.getProtocolVersion() != schema::BROKER_PROTOCOL_VERSION) {
    return refuse(client, "this broker speaks version " + std::to_string(schema::BROKER_PROTOCOL_VERSION) +
                              " of the protocol, its client version " + std::to_string(hello.getProtocolVersion()));
  }
  if (windingDown_) return refuse(client, "the broker is ending");
  if (hello.hasInterpreter() && !couldServe(static_cast<pid_t>(client.processId))) {
    // This process is confined, and its client is not, or less. The next one starts another broker.
    Status refused = refuse(client, "");
    windDown("a client is less confined than this broker", Sessions::kWaitFor);
    return refused;
  }
  if (hello.hasInterpreter()) return lead(client, hello.getInterpreter());
  capnp::MallocMessageBuilder answer;
  answer.initRoot<schema::FromBroker>().setReady();
  send(client.id, answer);
  return Done{};
}

// Leads a front end to its tree.
Status Broker::lead(Client& client, schema::InterpreterKey::Reader key) {
  lastUsed_ = uv_now(&loop_);
  auto words = capnp::canonicalize(key);
  auto bytes = words.asChars();
  if (bytes.size() > kMaxKey) return refuse(client, "the description of its interpreter is too large");
  std::string name(bytes.begin(), bytes.size());
  if (!trees_.contains(name) && trees_.size() >= kMostTrees) {
    return refuse(client, "too many kinds of interpreters are in use");
  }
  std::shared_ptr<GrowingTree>& tree = trees_[name];
  if (!tree) {
    Interpreter interpreter{
        toString(key.getProgram()), toString(key.getProgramName()), {}, toText(key.getGhcVersion()), key.getWay()};
    for (auto variable : key.getEnvironment()) interpreter.environment.push_back(toString(variable));
    ZygoteTree::Parts parts{loop_, log_, processes_, digests_, configuration_.spares};
    tree = std::make_shared<GrowingTree>(parts, std::move(interpreter));
  }
  client.tree = tree;
  if (tree->zygotes().empty()) {
    if (Status started = tree->start(); !started) {
      client.tree.reset();
      if (tree.use_count() == 1) trees_.erase(name);
      return refuseOnce(client, started.error().message);
    }
  }
  Result<ZygoteTree::Image> image = tree->image();
  if (!image) return refuseOnce(client, image.error().message);
  capnp::MallocMessageBuilder answer;
  answer.initRoot<schema::FromBroker>().setTrie(image->bytes);
  int fds[] = {image->fd};
  if (Status sent = client.socket.send(answer, fds); !sent) return sent;
  return Done{};
}

Status Broker::attach(Client& client, PacketSocket::Packet packet) {
  if (!client.tree || client.hasAttached) return Error{"an attach without a tree, or a second one"};
  auto attach = packet.root<schema::ToBroker>().getAttach();
  client.hasAttached = true;
  if (packet.fds.size() < 2) return Error{"an attach without its fds"};
  auto path = client.tree->pathTo(attach.getNode());
  if (!path) return refuse(client, "what was loaded there has changed");
  auto files = attach.getFiles();
  if (files.size() != path->size()) return Error{"an attach whose files are not those of its node"};
  client.node = attach.getNode();
  client.path = *path;
  std::string directory = pathOf(packet.fds[1].get());
  for (uint32_t i = 0; i < files.size(); ++i) {
    (*path)[i].file = toString(files[i]);
    client.path[i] = asTold(directory, (*path)[i].kind, (*path)[i].file);
  }
  auto done = [this, id = client.id](Result<NewSession> result) { attached(id, std::move(result)); };
  client.tree->attach({kj::mv(packet), std::move(*path), std::move(done)});
  return Done{};
}

// There is a session for the client, or there can be none.
void Broker::attached(ClientId id, Result<NewSession> result) {
  capnp::MallocMessageBuilder message;
  auto answer = message.initRoot<schema::FromBroker>();
  if (!result) {
    log_("no session: " + result.error().message);
    answer.setRefused(result.error().message);
    return send(id, message);
  }
  pid_t process = result->process->id();
  auto attached = answer.initAttached();
  attached.setSession(static_cast<uint32_t>(process));
  attached.setZygote(static_cast<uint32_t>(result->zygote));
  send(id, message);

  ++totals_.attaches;
  totals_.hits += result->hit ? 1 : 0;
  totals_.savedNanoseconds += result->savedNanoseconds;
  Session session{{0, result->zygote, linker::systemClock(), result->replayed}, std::move(result->process)};
  if (auto client = clients_.find(id); client != clients_.end()) {
    client->second.session = process;
    session.clientProcessId = client->second.processId;
  }
  log_("session " + std::to_string(process) + " for process " + std::to_string(session.clientProcessId) +
       ", from zygote " + std::to_string(session.zygote) + " and with " + std::to_string(session.replayed) +
       " operations of its own");
  session.process->whenGone([this, process](const std::string&) {
    if (auto known = sessions_.find(process); known != sessions_.end()) known->second.process.reset();
  });
  sessions_.insert_or_assign(process, std::move(session));
  processes_.whenEnded(process, [this, process, id](Ended how) { sessionEnded(process, id, how); });
}

void Broker::sessionEnded(pid_t process, ClientId id, Ended how) {
  sessions_.erase(process);
  if (how.signal != 0 || how.status != 0) {
    log_("session " + std::to_string(process) + " ended with " +
         (how.signal != 0 ? "signal " + std::to_string(how.signal) : "exit status " + std::to_string(how.status)));
  }
  if (auto client = clients_.find(id); client != clients_.end()) {
    client->second.session = 0;
    capnp::MallocMessageBuilder message;
    auto ended = message.initRoot<schema::FromBroker>().initSessionEnded();
    ended.setStatus(how.status);
    ended.setSignal(how.signal);
    send(id, message);
  }
  endIfDone();
}

void Broker::identify(Client& client, std::string path) {
  // Weakly, since the client may be gone before the answer is there, and the tree with it.
  auto identified = [this, id = client.id, tree = std::weak_ptr(client.tree)](const Result<FileContent>& content) {
    capnp::MallocMessageBuilder message;
    auto identity = message.initRoot<schema::FromBroker>().initIdentity();
    if (content) {
      identity.setSha256({content->digest.bytes.data(), content->digest.bytes.size()});
      auto known = tree.lock();
      if (known && content->settled) known->trie().learn(content->digest, content->signature);
    } else {
      identity.setUnreadable(content.error().message);
    }
    answer(id, message);
  };
  digests_.identify(std::move(path), identified);
}

// Fails if that is more than a session can have done.
Status Broker::report(Client& client, schema::Report::Reader report) {
  bool tooMuch = report.getOperations().size() > kMostReported || report.getSymbols().size() > kMostReported ||
                 report.totalSize().wordCount > kMaxReport / sizeof(capnp::word);
  if (tooMuch) return Error{"a report that is too large"};
  // A limit of one zygote leaves none to grow.
  if (!client.tree || configuration_.zygotes <= 1) return Done{};
  LoadTrie& trie = client.tree->trie();
  LoadReport load{client.id, report.getNode(), {}, {}, {}};
  if (client.hasAttached && client.node == load.node && trie.find(load.node) == nullptr) {
    // The node was forgotten, since a file had changed; the session has loaded what is there now.
    load.node = trie.root().id;
    for (const Operation& operation : client.path) load.operations.push_back(asked(operation));
  } else if (client.hasAttached && client.node == load.node) {
    load.path = client.path;
  } else if (auto path = client.tree->pathTo(load.node)) {
    load.path = std::move(*path);
  }
  for (auto operation : report.getOperations()) load.operations.push_back(asked(readOperation(operation)));
  for (auto symbol : report.getSymbols()) load.symbols.push_back(toText(symbol));
  client.tree->report(std::move(load));
  return Done{};
}

Status Broker::refuse(Client& client, const std::string& why) {
  capnp::MallocMessageBuilder answer;
  answer.initRoot<schema::FromBroker>().setRefused(why);
  log_("refused process " + std::to_string(client.processId) + ": " + why);
  send(client.id, answer);
  return Done{};
}

// For what each client would be told.
Status Broker::refuseOnce(Client& client, const std::string& why) {
  if (std::exchange(told_, why) != why) return refuse(client, why);
  return refuse(client, "");
}

void Broker::send(ClientId id, capnp::MessageBuilder& message) {
  auto client = clients_.find(id);
  if (client == clients_.end()) return;
  // The watch sees a hang-up, of either side.
  if (!client->second.socket.send(message)) shutdown(client->second.socket.fd(), SHUT_RDWR);
}

void Broker::answer(ClientId id, capnp::MessageBuilder& message) {
  if (auto client = clients_.find(id); client != clients_.end()) --client->second.pending;
  send(id, message);
}

void Broker::sendStatus(ClientId id) {
  measure([this, id](const MemoryUses& memory) {
    capnp::MallocMessageBuilder message;
    writeStatus(state(), memory, message.initRoot<schema::FromBroker>().initStatus());
    answer(id, message);
  });
}

BrokerState Broker::state() const {
  BrokerState state{started_, rendezvous_.directory(), configuration_.memoryBytes, uv_now(&loop_), totals_, {}, {}};
  for (const auto& [key, tree] : trees_) state.trees.push_back(tree.get());
  for (const auto& [process, session] : sessions_) state.sessions.emplace_back(process, &session);
  return state;
}

// --- limits

void Broker::tick() {
  processes_.killOverdue();
  log_.limit();
  hangUpOnSilent();
  if (windingDown_) return;
  if (!listener_) listen();
  std::set<pid_t> inUse;
  for (const auto& [process, session] : sessions_) inUse.insert(session.zygote);
  for (const auto& [key, tree] : trees_) tree->tick(inUse);
  Result<linker::FileSignature> program = linker::signatureOf(program_);
  if (!program || !programSignature_ || *program != *programSignature_) {
    return windDown("another program is at " + program_ + " now", Sessions::kWaitFor);
  }
  if (!rendezvous_.isOurs()) return windDown("the socket was removed", Sessions::kWaitFor);
  if (hadTerminal_ && !hasTerminal()) return windDown("its terminal is gone", Sessions::kWaitFor);
  letIdleGo();
  keepLimits();
  refreshMemory();
}

void Broker::letIdleGo() {
  uint64_t idle = uint64_t{configuration_.idleSeconds} * 1000;
  uint64_t now = uv_now(&loop_);
  for (auto entry = trees_.begin(); entry != trees_.end();) {
    GrowingTree& tree = *entry->second;
    std::vector<NodeId> unused;
    for (const auto& [node, zygote] : tree.zygotes()) {
      bool isLast = zygote->node->parent != nullptr || tree.zygotes().size() == 1;
      if (isLast && !zygote->isBusy() && zygote->lastUsed + idle < now) unused.push_back(node);
    }
    if (!tree.grower().isBusy()) {
      for (NodeId node : unused) tree.letGo(node, "it was not used");
    }
    bool isNeeded = !tree.zygotes().empty() || tree.grower().isBusy() || entry->second.use_count() > 1;
    entry = isNeeded ? std::next(entry) : trees_.erase(entry);
  }
  if (lastUsed_ + idle < now && sessions_.empty() && clients_.empty()) {
    windDown("not used", Sessions::kWaitFor);
  }
}

void Broker::keepLimits() {
  for (;;) {
    size_t count = 0;
    uint64_t used = 0;
    for (const auto& [key, tree] : trees_) {
      count += tree->zygotes().size();
      for (const auto& [node, zygote] : tree->zygotes()) {
        used += memory_[zygote->process->id()].proportionalBytes;
        for (const auto& spare : zygote->spares) used += memory_[spare->id()].proportionalBytes;
      }
      for (const auto& zygote : tree->superseded()) used += memory_[zygote->process->id()].proportionalBytes;
    }
    if (count > configuration_.zygotes) {
      if (!letOneGo("there are too many")) return;
    } else if (used > configuration_.memoryBytes) {
      if (dropSuperseded()) continue;
      if (!letOneGo("all together use too much memory")) return;
    } else {
      return;
    }
  }
}

bool Broker::dropSuperseded() {
  bool any = false;
  for (const auto& [key, tree] : trees_) any = tree->dropSuperseded() || any;
  return any;
}

bool Broker::letOneGo(const std::string& why) {
  std::vector<ZygoteUse> uses;
  std::vector<std::pair<ZygoteTree*, NodeId>> places;
  for (const auto& [key, tree] : trees_) {
    for (const auto& [node, zygote] : tree->zygotes()) {
      uses.push_back({zygote->node->parent == nullptr, tree->isInner(*zygote), zygote->isBusy(), zygote->lastUsed});
      places.emplace_back(tree.get(), node);
    }
  }
  auto victim = leastUseful(uses);
  if (!victim) return false;
  places[*victim].first->letGo(places[*victim].second, why);
  return true;
}

uint64_t Broker::activity() const {
  uint64_t sum = 0;
  for (const auto& [key, tree] : trees_) sum += tree->activity();
  return sum;
}

void Broker::refreshMemory() {
  uint64_t now = uv_now(&loop_);
  if (measuring_ || activity() == measuredActivity_ || now < measuredAt_ + kMeasureMs) return;
  measuring_ = true;
  measuredAt_ = now;
  measuredActivity_ = activity();
  measure([this](const MemoryUses& memory) {
    measuring_ = false;
    memory_ = memory;
    if (!windingDown_) keepLimits();
  });
}

void Broker::measure(std::function<void(const MemoryUses&)> done) {
  auto memory = std::make_shared<MemoryUses>();
  for (const auto& [key, tree] : trees_) {
    for (const auto& [node, zygote] : tree->zygotes()) {
      (*memory)[zygote->process->id()];
      for (const auto& spare : zygote->spares) (*memory)[spare->id()];
    }
    for (const auto& zygote : tree->superseded()) (*memory)[zygote->process->id()];
    if (const ZygoteProcess* growing = tree->grower().growing()) (*memory)[growing->id()];
  }
  auto read = [memory] {
    for (auto& [process, use] : *memory) use = memoryUseOf(process);
  };
  inBackground(loop_, read, [memory, done = std::move(done)] { done(*memory); });
}

// --- the end

void Broker::windDown(const std::string& why, Sessions sessions) {
  waitsForSessions_ = sessions == Sessions::kWaitFor && (!windingDown_ || waitsForSessions_);
  if (!windingDown_) {
    windingDown_ = true;
    log_("ending: " + why);
    listener_ = Watch();
    rendezvous_.giveUp();
    socket_ = nullptr;
    deadline_ = uv_now(&loop_) + kPatienceMs;
    for (const auto& [key, tree] : trees_) tree->close();
    // Whoever has no session has nothing to wait for.
    for (auto& [id, client] : clients_) {
      if (client.session == 0 && !client.awaitsEnd) shutdown(client.socket.fd(), SHUT_RDWR);
    }
    ender_ = Timer(
        loop_, kEndMs, [this] { endIfDone(); }, true);
  }
}

void Broker::endIfDone() {
  if (!windingDown_) return;
  processes_.killOverdue();
  bool zygotesAreGone = !processes_.awaitsEnds() || uv_now(&loop_) > deadline_;
  if (zygotesAreGone) ender_ = Timer();
  if (!zygotesAreGone || (waitsForSessions_ && !sessions_.empty())) return;
  log_("ended");
  uv_stop(&loop_);
}

}  // namespace splicehost::broker
