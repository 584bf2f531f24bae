#include "iserv/broker/zygote_tree.h"

#include <algorithm>
#include <iterator>

#include "iserv/base/manifest.h"
#include "protocol/patience.h"

namespace splicehost::broker {

namespace {

// Forks that are ordered of one zygote at the same time.
constexpr size_t kMostForks = 16;
// How often a fork that was ordered for a client may die.
constexpr int kMostFailures = 2;
// A zygote that was not used for so long is not in use, and needs no spares.
constexpr uint64_t kInUseMs = 60'000;
// How long to wait with a new spare after one was taken: the session that took it needs the processors now, and
// so does its compiler.
constexpr uint64_t kRefillMs = 150;
// How long a client waits for a zygote of which no fork gets ready.
constexpr uint64_t kPatienceMs = 10'000;
// How long a superseded zygote is kept after the last of its sessions has ended.
constexpr uint64_t kKeepSupersededMs = 5'000;
// Symbols that are remembered for one node.
constexpr size_t kMostSymbols = 20'000;
// Of these, how many may be found to be not for sharing until the node's are left to sessions altogether.
constexpr size_t kMostUnsharedSymbols = 256;
// How long linking ahead may take.
constexpr uint64_t kLinkingMs = 20'000;

bool isBelow(const LoadTrie::Node* node, const LoadTrie::Node* ancestor) {
  while (node != nullptr && node != ancestor) node = node->parent;
  return node != nullptr;
}

Zygote::Forks::iterator find(Zygote::Forks& forks, const ZygoteProcess* process) {
  return std::ranges::find(forks, process, &std::unique_ptr<ZygoteProcess>::get);
}

}  // namespace

ZygoteTree::ZygoteTree(const Parts& parts, Interpreter interpreter)
    : parts_(parts),
      interpreter_(std::move(interpreter)),
      name_("GHC " + interpreter_.ghcVersion + " " + std::string(wayName(interpreter_.way))) {}

Status ZygoteTree::start() {
  if (closed_) return Error{"the broker is ending"};
  if (trie_.root().hasZygote) return Done{};
  auto process = ZygoteProcess::start(parts_.loop, parts_.processes, interpreter_);
  if (!process) {
    parts_.log("no zygote can be started: " + process.error().message);
    return process.error();
  }
  Zygote& root = add(trie_.root(), std::move(*process), {});
  root.process->whenStarted([&root](const LoadConditions& conditions) { root.conditions.add(0, conditions); });
  parts_.log("zygote " + std::to_string(root.process->id()) + " started for " + name_);
  refill(root);
  return Done{};
}

Result<ZygoteTree::Image> ZygoteTree::image() {
  if (image_ == nullptr || imageRevision_ != trie_.revision()) {
    capnp::MallocMessageBuilder message;
    trie_.write(message.initRoot<schema::Trie>());
    auto image = sealedMemory("splicehost-trie", message, &imageBytes_);
    if (!image) return image.error();
    image_ = kj::mv(*image);
    imageRevision_ = trie_.revision();
  }
  return Image{image_.get(), imageBytes_};
}

std::optional<std::vector<Operation>> ZygoteTree::pathTo(NodeId id) const {
  const LoadTrie::Node* node = trie_.find(id);
  if (node == nullptr) return std::nullopt;
  std::vector<Operation> path(node->depth);
  for (; node->parent != nullptr; node = node->parent) path[node->depth - 1] = node->operation;
  return path;
}

// --- sessions

void ZygoteTree::attach(SessionOrder order) {
  LoadTrie::Node* node = trie_.find(order.packet.root<schema::ToBroker>().getAttach().getNode());
  if (node == nullptr) return order.done(Error{"there is no such node"});
  order.nodes.resize(node->depth + 1);
  for (; node != nullptr; node = node->parent) order.nodes[node->depth] = node->id;
  order.since = uv_now(&parts_.loop);
  serve(std::move(order));
}

void ZygoteTree::serve(SessionOrder order) {
  if (closed_) return order.done(Error{"the broker is ending"});
  std::vector<SessionOrder> displaced;
  Zygote* zygote = zygoteLike(order);
  if (zygote == nullptr) zygote = nearestIntact(order, displaced);
  if (zygote == nullptr) {
    Status started = order.triedRoot ? Error{"the interpreter does not start"} : start();
    order.triedRoot = true;
    if (started) {
      zygote = zygoteAt(trie_.root().id);
    } else {
      order.done(started.error());
    }
  }
  if (zygote != nullptr) {
    zygote->waiting.push_back(std::move(order));
    handOut(*zygote);
  }
  for (SessionOrder& other : displaced) serve(std::move(other));
}

// The zygote of which the client has had a fork before, if it is to have another one.
Zygote* ZygoteTree::zygoteLike(const SessionOrder& order) {
  auto process = static_cast<pid_t>(order.packet.root<schema::ToBroker>().getAttach().getLike());
  auto isIt = [&](Zygote& zygote) {
    size_t depth = zygote.node->depth;
    return process != 0 && zygote.process->id() == process && depth < order.nodes.size() &&
           order.nodes[depth] == zygote.node->id && !zygote.conditions.firstChange();
  };
  for (const auto& [id, zygote] : zygotes_) {
    if (isIt(*zygote)) return zygote.get();
  }
  for (const auto& zygote : superseded_) {
    if (isIt(*zygote)) return zygote.get();
  }
  return nullptr;
}

// The zygote that has done most of what the order needs. On the way, lets go of zygotes whose conditions do not hold
// any more. Those who waited for them have to be served anew.
Zygote* ZygoteTree::nearestIntact(const SessionOrder& order, std::vector<SessionOrder>& displaced) {
  for (size_t depth = order.nodes.size(); depth-- > 0;) {
    Zygote* zygote = zygoteAt(order.nodes[depth]);
    if (zygote == nullptr) continue;
    auto changed = zygote->conditions.firstChange();
    if (!changed) return zygote;
    dropFrom(*trie_.find(order.nodes[changed->depth]), changed->path + " has changed", displaced);
  }
  return nullptr;
}

// Forgets a node and all below, since what it depends on has changed.
void ZygoteTree::dropFrom(LoadTrie::Node& node, const std::string& why, std::vector<SessionOrder>& displaced) {
  std::vector<NodeId> doomed;
  for (const auto& [id, zygote] : zygotes_) {
    if (isBelow(zygote->node, &node)) doomed.push_back(id);
  }
  for (NodeId id : doomed) {
    std::ranges::move(remove(*zygoteAt(id), why), std::back_inserter(displaced));
  }
  trie_.drop(node);
}

// Gives spares to those who wait, and orders more if there are too few.
void ZygoteTree::handOut(Zygote& zygote) {
  while (!zygote.waiting.empty() && !zygote.spares.empty()) {
    std::unique_ptr<ZygoteProcess> fork = std::move(zygote.spares.back());
    zygote.spares.pop_back();
    SessionOrder& order = zygote.waiting.front();
    if (!give(zygote, std::move(fork), order)) continue;
    zygote.waiting.pop_front();
  }
  orderForks(zygote, zygote.waiting.size());
}

// False if the fork is gone.
bool ZygoteTree::give(Zygote& zygote, std::unique_ptr<ZygoteProcess> fork, SessionOrder& order) {
  auto attach = order.packet.root<schema::ToBroker>().getAttach();
  uint32_t done = zygote.node->depth;
  capnp::MallocMessageBuilder message;
  auto start = message.initRoot<schema::ToZygote>().initStartSession();
  start.setAttach(attach);
  auto replay = start.initReplay(static_cast<uint32_t>(order.path.size()) - done);
  for (uint32_t i = 0; i < replay.size(); ++i) writeOperation(order.path[done + i], replay[i]);
  std::vector<int> fds;
  for (const kj::AutoCloseFd& fd : order.packet.fds) fds.push_back(fd.get());
  if (!fork->startSession(message, fds)) return false;

  NewSession session{std::move(fork), zygote.process->id(), replay.size()};
  session.hit = replay.size() == 0 && done > 0;
  for (const LoadTrie::Node* node = zygote.node; node != nullptr; node = node->parent) {
    session.savedNanoseconds += node->nanoseconds;
  }
  session.process->whenGone({});
  ++zygote.sessions;
  ++activity_;
  zygote.lastUsed = uv_now(&parts_.loop);
  zygote.refill = Timer(parts_.loop, kRefillMs, [this, &zygote] { refill(zygote); });
  order.done(std::move(session));
  return true;
}

// --- forks

void ZygoteTree::refill(Zygote& zygote) { orderForks(zygote, zygote.waiting.size() + sparesFor(zygote)); }

size_t ZygoteTree::sparesFor(const Zygote& zygote) const {
  // Forks of a successor are better ones.
  if (zygote.successor || isSuperseded(zygote)) return 0;
  if (zygote.lastUsed + kInUseMs < uv_now(&parts_.loop)) return 0;
  if (zygote.node->parent == nullptr) return std::min(parts_.spares, 1u);
  return isInner(zygote) ? 0 : parts_.spares;
}

void ZygoteTree::orderForks(Zygote& zygote, size_t wanted) {
  while (zygote.spares.size() + zygote.starting.size() < wanted && zygote.starting.size() < kMostForks) {
    auto fork = zygote.process->fork(schema::ForkPurpose::SESSION);
    if (!fork) {
      parts_.log("no fork can be ordered: " + fork.error().message);
      // Those who wait need not wait until they lose their patience.
      if (zygote.starting.empty()) {
        for (SessionOrder& order : std::exchange(zygote.waiting, {})) order.done(fork.error());
      }
      return;
    }
    ZygoteProcess* process = fork->get();
    process->whenReady([this, &zygote, process] { forkReady(zygote, process); });
    process->whenGone([this, &zygote, process](const std::string& why) { forkGone(zygote, process, why); });
    zygote.starting.push_back(std::move(*fork));
    ++activity_;
  }
}

void ZygoteTree::forkReady(Zygote& zygote, const ZygoteProcess* process) {
  auto found = find(zygote.starting, process);
  zygote.lastFork = uv_now(&parts_.loop);
  zygote.spares.push_back(std::move(*found));
  zygote.starting.erase(found);
  handOut(zygote);
  if (isSuperseded(zygote)) zygote.spares.clear();
}

void ZygoteTree::forkGone(Zygote& zygote, const ZygoteProcess* process, const std::string& why) {
  parts_.log("a fork of " + describe(zygote) + " is gone: " + why);
  if (auto spare = find(zygote.spares, process); spare != zygote.spares.end()) zygote.spares.erase(spare);
  auto started = find(zygote.starting, process);
  if (started == zygote.starting.end()) return;
  zygote.starting.erase(started);
  if (zygote.waiting.empty()) return;
  if (++zygote.waiting.front().failures > kMostFailures) {
    SessionOrder order = std::move(zygote.waiting.front());
    zygote.waiting.pop_front();
    order.done(Error{"forks of the zygote die"});
  }
  handOut(zygote);
}

// --- zygotes

Zygote* ZygoteTree::zygoteAt(NodeId node) {
  auto found = zygotes_.find(node);
  return found == zygotes_.end() ? nullptr : found->second.get();
}

bool ZygoteTree::isInner(const Zygote& zygote) const {
  return std::ranges::any_of(zygotes_, [&](const auto& other) {
    return other.second.get() != &zygote && isBelow(other.second->node, zygote.node);
  });
}

Zygote& ZygoteTree::add(LoadTrie::Node& node, std::unique_ptr<ZygoteProcess> process, Conditions conditions) {
  auto owned = std::make_unique<Zygote>();
  owned->node = &node;
  owned->conditions = std::move(conditions);
  Zygote& zygote = place(std::move(owned), std::move(process));
  std::vector<std::string> symbols;
  std::ranges::set_difference(node.symbols, node.unsharedSymbols, std::back_inserter(symbols));
  linkAhead(zygote, symbols);
  return zygote;
}

Zygote& ZygoteTree::place(std::unique_ptr<Zygote> owned, std::unique_ptr<ZygoteProcess> process) {
  Zygote& zygote = *owned;
  zygote.process = std::move(process);
  zygote.lastUsed = uv_now(&parts_.loop);
  zygote.process->whenGone([this, &zygote](const std::string& why) {
    for (SessionOrder& order : remove(zygote, why)) serve(std::move(order));
  });
  zygote.node->hasZygote = true;
  zygotes_[zygote.node->id] = std::move(owned);
  ++activity_;
  return zygote;
}

void ZygoteTree::lookUp(Zygote& zygote, std::span<const std::string> symbols) {
  std::set<std::string>& known = zygote.node->symbols;
  std::vector<std::string> fresh;
  for (const std::string& symbol : symbols) {
    if (known.size() < kMostSymbols && known.insert(symbol).second) fresh.push_back(symbol);
  }
  if (std::set<std::string>& left = zygote.node->unsharedSymbols; left.size() > kMostUnsharedSymbols) {
    left.insert(fresh.begin(), fresh.end());
    fresh.clear();
  }
  linkAhead(zygote, fresh);
  // Who reported this will soon be followed by others.
  zygote.refill = Timer(parts_.loop, kRefillMs, [this, &zygote] { refill(zygote); });
}

void ZygoteTree::linkAhead(Zygote& zygote, std::span<const std::string> symbols) {
  zygote.symbols.insert(zygote.symbols.end(), symbols.begin(), symbols.end());
  if (zygote.symbols.empty() || zygote.successor) return;
  auto fork = zygote.process->fork(schema::ForkPurpose::ZYGOTE);
  if (!fork) return parts_.log("no symbols can be linked ahead: " + fork.error().message);
  ++activity_;
  zygote.successor = std::move(*fork);
  zygote.successorSince = uv_now(&parts_.loop);
  zygote.linking.clear();
  zygote.successor->whenGone([this, &zygote](const std::string& why) {
    auto symbols = std::exchange(zygote.linking, {});
    // Somebody may have killed it.
    if (!symbols.empty() && std::exchange(zygote.linkingFailed, true)) return leaveToSessions(zygote, symbols, why);
    parts_.log("symbols are not linked ahead in " + describe(zygote) + ": " + why);
    zygote.successor.reset();
    if (!symbols.empty()) linkAhead(zygote, symbols);
    refill(zygote);
  });
  zygote.successor->whenReady([this, &zygote] {
    zygote.linking = std::exchange(zygote.symbols, {});
    zygote.successor->lookUp(zygote.linking, [this, &zygote](const LookedUp& result) { linked(zygote, result); });
  });
}

void ZygoteTree::linked(Zygote& zygote, const LookedUp& result) {
  std::vector<std::string> symbols = std::exchange(zygote.linking, {});
  zygote.linkingFailed = false;
  if (!result.effect.empty()) {
    size_t first = std::min(result.first, symbols.size());
    size_t count = std::min(result.count, symbols.size() - first);
    std::vector<std::string> rest(symbols.begin(), symbols.begin() + static_cast<ptrdiff_t>(first));
    rest.insert(rest.end(), symbols.begin() + static_cast<ptrdiff_t>(first + count), symbols.end());
    std::ranges::move(rest, std::back_inserter(zygote.symbols));
    return leaveToSessions(zygote, std::span(symbols).subspan(first, count), result.effect);
  }
  if (result.found > 0) return supersede(zygote);
  zygote.successor.reset();
  linkAhead(zygote, {});
  refill(zygote);
}

// The successor is of no use, because of some of these symbols.
void ZygoteTree::leaveToSessions(Zygote& zygote, std::span<const std::string> symbols, const std::string& why) {
  zygote.successor.reset();
  LoadTrie::Node& node = *zygote.node;
  node.whyUnsharedSymbols = why;
  node.unsharedSymbols.insert(symbols.begin(), symbols.end());
  // Each costs a fork to find.
  if (node.unsharedSymbols.size() > kMostUnsharedSymbols) {
    node.unsharedSymbols.insert(zygote.symbols.begin(), zygote.symbols.end());
    zygote.symbols.clear();
  }
  parts_.log("symbols are not linked ahead in " + describe(zygote) + ": " + why);
  linkAhead(zygote, {});
  refill(zygote);
}

// See Note [Zygotes do not change].
void ZygoteTree::supersede(Zygote& old) {
  auto owned = std::make_unique<Zygote>();
  owned->node = old.node;
  owned->conditions = old.conditions;
  owned->sessions = old.sessions;
  owned->symbols = std::move(old.symbols);
  old.refill = Timer();
  old.spares.clear();
  superseded_.push_back(std::move(zygotes_.at(old.node->id)));
  Zygote& zygote = place(std::move(owned), std::move(old.successor));
  linkAhead(zygote, {});
  refill(zygote);
}

bool ZygoteTree::isSuperseded(const Zygote& zygote) const {
  auto placed = zygotes_.find(zygote.node->id);
  return placed == zygotes_.end() || placed->second.get() != &zygote;
}

// Takes a zygote away, and its superseded predecessors; result: those who waited for it.
std::deque<SessionOrder> ZygoteTree::remove(Zygote& zygote, const std::string& why) {
  parts_.log("let go of " + describe(zygote) + ": " + why);
  std::deque<SessionOrder> waiting = std::move(zygote.waiting);
  if (isSuperseded(zygote)) {
    std::erase_if(superseded_, [&](const auto& other) { return other.get() == &zygote; });
    return waiting;
  }
  std::erase_if(superseded_, [&](const auto& other) {
    if (other->node != zygote.node) return false;
    std::ranges::move(other->waiting, std::back_inserter(waiting));
    return true;
  });
  zygote.node->hasZygote = false;
  zygotes_.erase(zygote.node->id);
  return waiting;
}

void ZygoteTree::letGo(NodeId node, const std::string& why) {
  Zygote* zygote = zygoteAt(node);
  if (zygote == nullptr) return;
  for (SessionOrder& order : remove(*zygote, why)) serve(std::move(order));
}

bool ZygoteTree::dropSuperseded() {
  return std::erase_if(superseded_, [](const auto& zygote) { return !zygote->isBusy(); }) > 0;
}

void ZygoteTree::close() {
  closed_ = true;
  while (!zygotes_.empty()) letGo(zygotes_.rbegin()->first, "the broker ends");
}

void ZygoteTree::tick(const std::set<pid_t>& inUse) {
  uint64_t now = uv_now(&parts_.loop);
  std::erase_if(superseded_, [&](const auto& zygote) {
    if (zygote->isBusy() || inUse.contains(zygote->process->id())) zygote->lastUsed = now;
    return zygote->lastUsed + kKeepSupersededMs < now;
  });
  for (const auto& [id, zygote] : zygotes_) {
    bool isOverdue = zygote->successor && isOver(now - zygote->successorSince, kLinkingMs);
    if (isOverdue) leaveToSessions(*zygote, std::exchange(zygote->linking, {}), "it takes too long");
  }
  auto isStuck = [&](const Zygote& zygote) {
    return !zygote.waiting.empty() &&
           isOver(now - std::max(zygote.waiting.front().since, zygote.lastFork), kPatienceMs);
  };
  std::vector<SessionOrder> unserved;
  auto giveUp = [&](Zygote& zygote) {
    std::ranges::move(remove(zygote, "it does not answer"), std::back_inserter(unserved));
  };
  for (size_t i = superseded_.size(); i-- > 0;) {
    if (isStuck(*superseded_[i])) giveUp(*superseded_[i]);
  }
  std::vector<NodeId> stuck;
  for (const auto& [id, zygote] : zygotes_) {
    if (isStuck(*zygote)) stuck.push_back(id);
  }
  for (NodeId id : stuck) giveUp(*zygoteAt(id));
  for (SessionOrder& order : unserved) order.done(Error{"the zygote does not answer"});
}

std::string ZygoteTree::describe(const Zygote& zygote) const {
  return "zygote " + std::to_string(zygote.process->id()) + " for " + name_ + " with " +
         std::to_string(zygote.node->depth) + " operations";
}

}  // namespace splicehost::broker
