// The load operations that zygotes of one interpreter have done, as a trie. A node stands for the sequence of
// operations from the root to it. The trie's form for clients is in protocol/broker.capnp.
//
// An operation's file is known by its content. Which files have that content is remembered by their signatures
// (linker/content_identity.h). Files with other signatures have to be read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "iserv/broker/conditions.h"
#include "linker/content_identity.h"
#include "protocol/broker.capnp.h"
#include "protocol/text.h"

namespace splicehost::broker {

using NodeId = uint64_t;

struct Operation {
  schema::LoadKind kind = schema::LoadKind::INIT_LINKER;
  std::string file;       // as in the schema
  uint32_t relative = 0;  // as in the schema

  // Whether there is a file whose content counts; a name without a slash is only a name.
  bool hasPath() const { return file.find('/') != std::string::npos; }
  std::string_view baseName() const { return std::string_view(file).substr(file.rfind('/') + 1); }
  friend bool operator==(const Operation&, const Operation&) = default;
};

// An operation that was asked for, and what is known of its file's content.
struct AskedOperation {
  Operation operation;
  std::optional<FileSignature> signature = {};  // nothing if there is no such file
  std::optional<ContentDigest> digest = {};
};
// With the signature that the file has now.
AskedOperation asked(Operation operation);

// An operation that a zygote has done.
struct DoneOperation {
  Operation operation;
  std::optional<ContentDigest> digest;  // nothing if no file counts
  FileSignature signature;              // of that file
  bool settled = false;                 // whether the signature stands for the content for ever
  uint64_t nanoseconds = 0;             // how long it took
  LoadConditions conditions = {};
  bool bound = false;       // whether the same file at another path might have another result
  std::string effect = {};  // what it did that is not for sharing, in words; empty if nothing
  std::shared_ptr<const linker::OpenFile> mapped = {};  // the file, if the zygote has mapped it
};

class LoadTrie {
 public:
  struct Node {
    NodeId id = 0;
    Node* parent = nullptr;  // of the root, null
    uint32_t depth = 0;      // number of operations from the root
    Operation operation;     // what leads here
    std::optional<ContentDigest> digest;
    uint64_t size = 0;  // of the file
    std::vector<FileSignature> signatures;
    uint64_t nanoseconds = 0;
    bool bound = false;  // stands for the operation's own path only
    std::vector<std::unique_ptr<Node>> children;

    // For whoever keeps zygotes: whether there is one here.
    bool hasZygote = false;
    // The symbols that sessions have looked up here.
    std::set<std::string> symbols;
    // Those of them that zygotes must not link, and why.
    std::set<std::string> unsharedSymbols;
    std::string whyUnsharedSymbols;
    // Why zygotes must not resolve here; empty if they may.
    std::string whyUnresolved;
  };

  LoadTrie();

  Node& root() { return root_; }
  const Node& root() const { return root_; }
  // Null if there is no such node (any more).
  Node* find(NodeId id);
  const Node* find(NodeId id) const { return const_cast<LoadTrie*>(this)->find(id); }
  size_t size() const { return nodes_.size(); }
  void forEach(const std::function<void(const Node&)>& call) const {
    for (const auto& [id, node] : nodes_) call(*node);
  }
  // Another number after each change.
  uint64_t revision() const { return revision_; }

  // Follows operations as far as there are nodes for them.
  struct Walk {
    Node* end;
    size_t matched;          // number of operations
    bool undecided = false;  // the next one may have a node, which only its digest can tell
  };
  Walk walk(Node& from, std::span<const AskedOperation> operations);

  // Adds what a zygote has done after it was at `from`; result: where it is now.
  Node& add(Node& from, std::span<const DoneOperation> operations);
  // A file with this signature has this content, for ever. Result: whether a node has it.
  bool learn(const ContentDigest& digest, const FileSignature& signature);
  // Forgets a node and all below. The root itself stays, as another one: it gets a new id.
  void drop(Node& node);
  // Forgets all nodes that no zygote is at or below of.
  void prune();

  void write(schema::Trie::Builder trie) const;

 private:
  void unregister(const Node& node);
  bool pruneBelow(Node& node);

  Node root_;
  std::map<NodeId, Node*> nodes_;
  uint64_t revision_ = 0;
  NodeId lastId_ = 1;
};

Operation readOperation(schema::LoadOperation::Reader operation);
void writeOperation(const Operation& operation, schema::LoadOperation::Builder builder);

}  // namespace splicehost::broker
