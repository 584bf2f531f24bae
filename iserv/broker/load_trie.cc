#include "iserv/broker/load_trie.h"

#include <algorithm>
#include <cstring>

namespace splicehost::broker {

namespace {

// Copies of one library that are known by their signatures. A build system may make a new one for each build.
constexpr size_t kMostSignatures = 64;

void addSignature(LoadTrie::Node& node, const FileSignature& signature) {
  if (std::ranges::find(node.signatures, signature) != node.signatures.end()) return;
  if (node.signatures.size() == kMostSignatures) node.signatures.erase(node.signatures.begin());
  node.signatures.push_back(signature);
}

enum class Match { kNo, kYes, kUndecided };

Match match(const LoadTrie::Node& node, const AskedOperation& asked) {
  if (node.operation.kind != asked.operation.kind) return Match::kNo;
  if (!asked.operation.hasPath()) {
    return node.operation.file == asked.operation.file ? Match::kYes : Match::kNo;
  }
  if (!node.digest || (node.bound && node.operation != asked.operation)) return Match::kNo;
  if (asked.digest) return *asked.digest == *node.digest ? Match::kYes : Match::kNo;
  if (!asked.signature || asked.signature->size != node.size) return Match::kNo;
  bool known = std::ranges::find(node.signatures, *asked.signature) != node.signatures.end();
  return known ? Match::kYes : Match::kUndecided;
}

bool isSame(const LoadTrie::Node& node, const DoneOperation& done) {
  if (node.operation.kind != done.operation.kind || node.digest != done.digest) return false;
  bool byContent = done.digest && !node.bound && !done.bound;
  return byContent || node.operation == done.operation;
}

}  // namespace

AskedOperation asked(Operation operation) {
  AskedOperation result{std::move(operation)};
  if (result.operation.hasPath()) {
    if (auto signature = linker::signatureOf(result.operation.file)) result.signature = *signature;
  }
  return result;
}

LoadTrie::LoadTrie() {
  root_.id = lastId_;
  nodes_[root_.id] = &root_;
}

LoadTrie::Node* LoadTrie::find(NodeId id) {
  auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : found->second;
}

LoadTrie::Walk LoadTrie::walk(Node& from, std::span<const AskedOperation> operations) {
  Walk walk{&from, 0};
  for (const AskedOperation& next : operations) {
    Node* child = nullptr;
    bool undecided = false;
    for (const auto& candidate : walk.end->children) {
      Match matched = match(*candidate, next);
      if (matched == Match::kYes) child = candidate.get();
      if (matched == Match::kUndecided) undecided = true;
    }
    if (child == nullptr) {
      walk.undecided = undecided;
      return walk;
    }
    walk.end = child;
    ++walk.matched;
  }
  return walk;
}

LoadTrie::Node& LoadTrie::add(Node& from, std::span<const DoneOperation> operations) {
  Node* at = &from;
  for (const DoneOperation& done : operations) {
    auto same = std::ranges::find_if(at->children, [&](const auto& child) { return isSame(*child, done); });
    if (same == at->children.end()) {
      auto node = std::make_unique<Node>();
      node->id = ++lastId_;
      node->parent = at;
      node->depth = at->depth + 1;
      node->operation = done.operation;
      node->digest = done.digest;
      node->size = done.signature.size;
      node->nanoseconds = done.nanoseconds;
      node->bound = done.bound;
      nodes_[node->id] = node.get();
      at->children.push_back(std::move(node));
      same = at->children.end() - 1;
    }
    at = same->get();
    if (done.digest && done.settled) addSignature(*at, done.signature);
  }
  ++revision_;
  return *at;
}

bool LoadTrie::learn(const ContentDigest& digest, const FileSignature& signature) {
  bool known = false;
  for (auto& [id, node] : nodes_) {
    if (node->digest != digest) continue;
    addSignature(*node, signature);
    known = true;
  }
  if (known) ++revision_;
  return known;
}

void LoadTrie::drop(Node& node) {
  unregister(node);
  if (node.parent == nullptr) {
    node.children.clear();
    node.id = ++lastId_;
    nodes_[node.id] = &node;
  } else {
    std::erase_if(node.parent->children, [&](const auto& child) { return child.get() == &node; });
  }
  ++revision_;
}

void LoadTrie::prune() {
  pruneBelow(root_);
  ++revision_;
}

void LoadTrie::unregister(const Node& node) {
  nodes_.erase(node.id);
  for (const auto& child : node.children) unregister(*child);
}

// Whether the node is needed.
bool LoadTrie::pruneBelow(Node& node) {
  std::erase_if(node.children, [this](const auto& child) {
    if (pruneBelow(*child)) return false;
    unregister(*child);
    return true;
  });
  return node.hasZygote || !node.children.empty();
}

void LoadTrie::write(schema::Trie::Builder trie) const {
  // Breadth first: when a node is written, the positions of its children are the next free ones.
  std::vector<const Node*> order = {&root_};
  for (size_t i = 0; i < order.size(); ++i) {
    for (const auto& child : order[i]->children) order.push_back(child.get());
  }
  auto nodes = trie.initNodes(static_cast<uint32_t>(order.size()));
  uint32_t next = 1;
  for (uint32_t i = 0; i < order.size(); ++i) {
    const Node& node = *order[i];
    auto builder = nodes[i];
    builder.setId(node.id);
    if (node.parent != nullptr) writeOperation(node.operation, builder.initOperation());
    if (node.digest) builder.setSha256({node.digest->bytes.data(), node.digest->bytes.size()});
    auto signatures = builder.initSignatures(static_cast<uint32_t>(node.signatures.size()));
    for (uint32_t j = 0; j < signatures.size(); ++j) writeSignature(node.signatures[j], signatures[j]);
    builder.setBound(node.bound);
    auto children = builder.initChildren(static_cast<uint32_t>(node.children.size()));
    for (uint32_t j = 0; j < children.size(); ++j) children.set(j, next++);
  }
}

Operation readOperation(schema::LoadOperation::Reader operation) {
  Operation result{operation.getKind(), toString(operation.getFile()), operation.getRelative()};
  // Of a client, which may say anything.
  bool isBeginning = result.relative < result.file.size() && result.file.find('/') < result.relative &&
                     result.file[result.relative - 1] == '/';
  if (!isBeginning) result.relative = 0;
  return result;
}

void writeOperation(const Operation& operation, schema::LoadOperation::Builder builder) {
  builder.setKind(operation.kind);
  builder.setFile(toData(operation.file));
  builder.setRelative(operation.relative);
}

}  // namespace splicehost::broker
