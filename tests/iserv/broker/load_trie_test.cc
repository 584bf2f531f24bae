#include "iserv/broker/load_trie.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include "tests/iserv/broker/operations.h"

namespace splicehost::broker {
namespace {

using testing::archive;
using testing::askedFor;
using testing::file;
using testing::kInit;
using testing::kResolve;
using testing::named;

TEST(LoadTrie, FollowsWhatIsKnown) {
  LoadTrie trie;
  std::vector done = {kInit, named("libm.so.6"), archive("/a/libHSa.a", 1), kResolve};
  auto& end = trie.add(trie.root(), done);
  EXPECT_EQ(end.depth, 4u);
  EXPECT_EQ(trie.size(), 5u);

  auto path = askedFor(done);
  auto walk = trie.walk(trie.root(), path);
  EXPECT_EQ(walk.end, &end);
  EXPECT_EQ(walk.matched, 4u);

  walk = trie.walk(trie.root(), askedFor({kInit, named("libz.so.1")}));
  EXPECT_EQ(walk.matched, 1u);
  EXPECT_FALSE(walk.undecided);
  // Another kind of operation with the same file.
  auto object = askedFor({archive("/a/libHSa.a", 1)});
  object[0].operation.kind = schema::LoadKind::LOAD_OBJ;
  EXPECT_EQ(trie.walk(*end.parent->parent, object).matched, 0u);
}

TEST(LoadTrie, KnowsAFileByItsContent) {
  LoadTrie trie;
  trie.add(trie.root(), std::vector{archive("/a/libHSa.a", 1)});
  // The same file by another name: its signature says so.
  auto copy = askedFor({archive("/a/libHSa.a", 1)});
  copy[0].operation.file = "/link/libHSa.a";
  EXPECT_EQ(trie.walk(trie.root(), copy).matched, 1u);

  // A copy has to be read, if its size is right.
  copy[0].signature->inode = 17;
  auto walk = trie.walk(trie.root(), copy);
  EXPECT_EQ(walk.matched, 0u);
  EXPECT_TRUE(walk.undecided);
  copy[0].digest = testing::digestOf(2);
  EXPECT_FALSE(trie.walk(trie.root(), copy).undecided);
  EXPECT_EQ(trie.walk(trie.root(), copy).matched, 0u);
  copy[0].digest = testing::digestOf(1);
  EXPECT_EQ(trie.walk(trie.root(), copy).matched, 1u);

  copy[0].digest.reset();
  copy[0].signature->size += 1;
  EXPECT_FALSE(trie.walk(trie.root(), copy).undecided);
  copy[0].signature.reset();
  EXPECT_FALSE(trie.walk(trie.root(), copy).undecided);
}

TEST(LoadTrie, TrustsOnlySettledSignatures) {
  LoadTrie trie;
  auto young = archive("/a/libHSa.a", 1);
  young.settled = false;
  trie.add(trie.root(), std::vector{young});
  auto path = askedFor({young});
  EXPECT_TRUE(trie.walk(trie.root(), path).undecided);
  EXPECT_TRUE(trie.learn(*young.digest, young.signature));
  EXPECT_EQ(trie.walk(trie.root(), path).matched, 1u);
  EXPECT_FALSE(trie.learn(testing::digestOf(3), young.signature));
}

TEST(LoadTrie, HasOneNodeForOneContent) {
  LoadTrie trie;
  auto& first = trie.add(trie.root(), std::vector{kInit, archive("/a/libHSa.a", 1)});
  auto copy = archive("/b/libHSa.a", 1);
  copy.signature.inode = 99;
  EXPECT_EQ(&trie.add(trie.root(), std::vector{kInit, copy}), &first);
  EXPECT_EQ(first.signatures.size(), 2u);
  EXPECT_NE(&trie.add(trie.root(), std::vector{kInit, archive("/a/libHSa.a", 2)}), &first);
  EXPECT_EQ(trie.size(), 4u);
}

TEST(LoadTrie, ForgetsNodesWithAllBelow) {
  LoadTrie trie;
  auto& kept = trie.add(trie.root(), std::vector{kInit, archive("/a/libHSa.a", 1)});
  auto& dropped = trie.add(trie.root(), std::vector{kInit, archive("/b/libHSb.a", 2)});
  NodeId below = trie.add(dropped, std::vector{kResolve}).id;
  NodeId id = dropped.id;
  uint64_t before = trie.revision();
  trie.drop(dropped);
  EXPECT_NE(trie.revision(), before);
  EXPECT_EQ(trie.find(id), nullptr);
  EXPECT_EQ(trie.find(below), nullptr);
  EXPECT_EQ(trie.find(kept.id), &kept);
}

TEST(LoadTrie, ForgetsAllWithItsRoot) {
  LoadTrie trie;
  NodeId root = trie.root().id;
  NodeId below = trie.add(trie.root(), std::vector{kInit}).id;
  trie.drop(trie.root());
  EXPECT_EQ(trie.find(below), nullptr);
  EXPECT_EQ(trie.find(root), nullptr);
  EXPECT_EQ(trie.find(trie.root().id), &trie.root());
  EXPECT_EQ(trie.size(), 1u);
}

TEST(LoadTrie, KnowsABoundFileByItsPathToo) {
  LoadTrie trie;
  auto library = file(schema::LoadKind::LOAD_DLL, "/a/libfoo.so", 1);
  library.bound = true;
  auto& node = trie.add(trie.root(), std::vector{library});
  auto same = askedFor({library});
  EXPECT_EQ(trie.walk(trie.root(), same).end, &node);
  auto relative = library;
  relative.operation.relative = 3;
  auto copy = library;
  copy.operation.file = "/b/libfoo.so";
  for (const auto& other : {relative, copy}) {
    EXPECT_EQ(trie.walk(trie.root(), askedFor({other})).matched, 0u);
    EXPECT_FALSE(trie.walk(trie.root(), askedFor({other})).undecided);
    EXPECT_NE(&trie.add(trie.root(), std::vector{other}), &node);
  }
}

TEST(LoadTrie, PrunesWhatHasNoZygote) {
  LoadTrie trie;
  auto& zygote = trie.add(trie.root(), std::vector{kInit, archive("/a/libHSa.a", 1)});
  zygote.hasZygote = true;
  NodeId useless = trie.add(zygote, std::vector{kResolve}).id;
  trie.prune();
  EXPECT_EQ(trie.find(useless), nullptr);
  EXPECT_EQ(trie.size(), 3u);
  zygote.hasZygote = false;
  trie.prune();
  EXPECT_EQ(trie.size(), 1u);
}

TEST(LoadTrie, ReadsWhereARelativePathBegins) {
  for (auto [file, relative, expected] : {std::tuple("/a/b.so", 3u, 3u),
                                          {"/a/b.so", 2u, 0u},
                                          {"/a/b.so", 7u, 0u},
                                          {"/a/b.so", 4000u, 0u},
                                          {"", 1u, 0u},
                                          {"b.so", 1u, 0u}}) {
    capnp::MallocMessageBuilder message;
    writeOperation({schema::LoadKind::LOAD_DLL, file, relative}, message.initRoot<schema::LoadOperation>());
    EXPECT_EQ(readOperation(message.getRoot<schema::LoadOperation>()).relative, expected) << file << relative;
  }
}

// The operations that lead to the nodes of an image, in the order of their ids.
void collect(schema::Trie::Reader trie, uint32_t position, std::vector<std::string> path,
             std::map<NodeId, std::vector<std::string>>& paths) {
  auto node = trie.getNodes()[position];
  if (position > 0) {
    auto operation = readOperation(node.getOperation());
    path.push_back(std::to_string(static_cast<int>(operation.kind)) + operation.file);
  }
  paths[node.getId()] = path;
  for (uint32_t child : node.getChildren()) collect(trie, child, path, paths);
}

TEST(LoadTrie, WritesAnImage) {
  LoadTrie trie;
  auto& a = trie.add(trie.root(), std::vector{kInit, archive("/a/libHSa.a", 1)});
  auto& b = trie.add(trie.root(), std::vector{kInit, archive("/b/libHSb.a", 2), kResolve});
  auto& c = trie.add(a, std::vector{named("libz.so.1")});

  capnp::MallocMessageBuilder message;
  trie.write(message.initRoot<schema::Trie>());
  auto image = message.getRoot<schema::Trie>().asReader();
  ASSERT_EQ(image.getNodes().size(), trie.size());
  EXPECT_EQ(image.getNodes()[0].getId(), trie.root().id);
  std::map<NodeId, std::vector<std::string>> paths;
  collect(image, 0, {}, paths);
  ASSERT_EQ(paths.size(), trie.size());
  EXPECT_EQ(paths[a.id], (std::vector<std::string>{"0", "2/a/libHSa.a"}));
  EXPECT_EQ(paths[b.id], (std::vector<std::string>{"0", "2/b/libHSb.a", "4"}));
  EXPECT_EQ(paths[c.id], (std::vector<std::string>{"0", "2/a/libHSa.a", "1libz.so.1"}));
  for (auto node : image.getNodes()) {
    if (node.getId() != a.id) continue;
    EXPECT_EQ(toString(node.getSha256()), std::string(32, '\1'));
    ASSERT_EQ(node.getSignatures().size(), 1u);
    EXPECT_EQ(readSignature(node.getSignatures()[0]), a.signatures[0]);
  }
}

}  // namespace
}  // namespace splicehost::broker
