#include "iserv/broker/status.h"

#include <unistd.h>

#include <utility>

#include "linker/content_identity.h"
#include "protocol/text.h"

namespace splicehost::broker {

namespace {

using Zygotes = std::vector<std::pair<const GrowingTree*, const Zygote*>>;

// Those that are grown; root zygotes first.
Zygotes listZygotes(const std::vector<const GrowingTree*>& trees) {
  Zygotes list;
  for (bool root : {true, false}) {
    for (const GrowingTree* tree : trees) {
      for (const auto& [node, zygote] : tree->zygotes()) {
        if ((zygote->node->parent == nullptr) == root) list.emplace_back(tree, zygote.get());
      }
    }
  }
  return list;
}

void describe(const ZygoteTree& tree, pid_t process, const std::vector<std::string>& files, const MemoryUse& memory,
              schema::BrokerStatus::Zygote::Builder builder) {
  builder.setProcessId(static_cast<uint32_t>(process));
  builder.setGhcVersion(tree.interpreter().ghcVersion);
  builder.setWay(tree.interpreter().way);
  auto list = builder.initFiles(static_cast<uint32_t>(files.size()));
  for (uint32_t i = 0; i < list.size(); ++i) list.set(i, toData(files[i]));
  builder.setResidentBytes(memory.residentBytes);
  builder.setProportionalBytes(memory.proportionalBytes);
  builder.setSharedBytes(memory.sharedBytes);
}

// The file that was loaded last at a node; empty if none was.
std::string lastFile(const LoadTrie::Node& node) {
  const LoadTrie::Node* at = &node;
  while (at->parent != nullptr && at->operation.file.empty()) at = at->parent;
  return at->operation.file;
}

struct Unshared {
  const GrowingTree* tree;
  std::string file;
  std::string why;
};

// What sessions load themselves, or symbols that they link.
std::vector<Unshared> listUnshared(const std::vector<const GrowingTree*>& trees) {
  std::vector<Unshared> list;
  for (const GrowingTree* tree : trees) {
    for (const auto& entry : tree->grower().unshared().all()) {
      list.push_back({tree, entry.operation.file, entry.why});
    }
    tree->trie().forEach([&list, tree](const LoadTrie::Node& node) {
      std::string file = lastFile(node);
      if (!node.whyUnresolved.empty()) list.push_back({tree, file, node.whyUnresolved});
      if (node.unsharedSymbols.empty()) return;
      list.push_back({tree, file, "linking " + *node.unsharedSymbols.begin() + ": " + node.whyUnsharedSymbols});
    });
  }
  return list;
}

}  // namespace

void writeStatus(const BrokerState& broker, const MemoryUses& memory, schema::BrokerStatus::Builder status) {
  int64_t now = linker::systemClock();
  status.setProcessId(static_cast<uint32_t>(getpid()));
  status.setStarted(broker.started);
  status.setDirectory(broker.directory);
  status.setAttaches(broker.totals.attaches);
  status.setHits(broker.totals.hits);
  status.setSavedNanoseconds(broker.totals.savedNanoseconds);
  status.setMemoryLimit(broker.memoryLimit);
  uint64_t used = 0;
  for (const auto& [process, use] : memory) used += use.proportionalBytes;
  status.setMemoryUsed(used);

  auto memoryOf = [&](pid_t process) {
    auto known = memory.find(process);
    return known == memory.end() ? MemoryUse() : known->second;
  };
  Zygotes grown = listZygotes(broker.trees);
  std::vector<const GrowingTree*> growing;
  for (const GrowingTree* tree : broker.trees) {
    if (tree->grower().isBusy()) growing.push_back(tree);
  }
  auto zygotes = status.initZygotes(static_cast<uint32_t>(grown.size() + growing.size()));
  uint32_t next = 0;
  for (auto [tree, zygote] : grown) {
    std::vector<std::string> files;
    auto path = tree->pathTo(zygote->node->id);
    for (const Operation& operation : *path) {
      if (!operation.file.empty()) files.push_back(operation.file);
    }
    auto builder = zygotes[next++];
    describe(*tree, zygote->process->id(), files, memoryOf(zygote->process->id()), builder);
    builder.setForks(zygote->sessions);
    builder.setSpares(static_cast<uint32_t>(zygote->spares.size()));
    auto unused = static_cast<int64_t>(broker.now - zygote->lastUsed);
    builder.setLastUsed(now - unused * 1'000'000);
    builder.setSymbols(static_cast<uint32_t>(zygote->node->symbols.size()));
    builder.setGrowing(zygote->successor != nullptr);
  }
  for (const GrowingTree* tree : growing) {
    // There may be no process yet.
    const ZygoteProcess* process = tree->grower().growing();
    pid_t id = process == nullptr ? 0 : process->id();
    auto builder = zygotes[next++];
    describe(*tree, id, tree->grower().filesLoaded(), memoryOf(id), builder);
    builder.setLastUsed(now);
    builder.setGrowing(true);
  }

  std::vector<Unshared> left = listUnshared(broker.trees);
  auto unshared = status.initUnshared(static_cast<uint32_t>(left.size()));
  for (uint32_t i = 0; i < unshared.size(); ++i) {
    unshared[i].setFile(toData(left[i].file));
    unshared[i].setGhcVersion(left[i].tree->interpreter().ghcVersion);
    unshared[i].setWay(left[i].tree->interpreter().way);
    unshared[i].setWhy(left[i].why);
  }

  auto sessions = status.initSessions(static_cast<uint32_t>(broker.sessions.size()));
  next = 0;
  for (const auto& [process, session] : broker.sessions) {
    auto builder = sessions[next++];
    builder.setProcessId(static_cast<uint32_t>(process));
    builder.setClientProcessId(session->clientProcessId);
    builder.setZygoteProcessId(static_cast<uint32_t>(session->zygote));
    builder.setStarted(session->started);
    builder.setReplayed(session->replayed);
  }
}

}  // namespace splicehost::broker
