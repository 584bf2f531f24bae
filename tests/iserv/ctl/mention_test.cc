#include "iserv/ctl/mention.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "iserv/ctl/temporary_directory.h"

namespace splicehost::ctl {
namespace {

namespace fs = std::filesystem;

std::string interfaceWith(const std::string& exports, const std::string& declarations) {
  return "interface M 9002\n  where\nexports:\n" + exports +
         "module dependencies: M.Inside\npackage dependencies: base-4.15.1.0*\n" + declarations;
}

std::string mention(const std::string& exports, const std::string& declarations) {
  return mentionIn(interfaceWith(exports, declarations), "M", {"M", "M.Inside"}).value_or("nothing");
}

TEST(MentionIn, IsAFunctionOfAnyType) {
  EXPECT_EQ(mention("  Other.shown\n  fold'\n", "0123\n  fold' :: (a -> b) -> b\n  [Arity: 1]\n"), "M.fold'");
  EXPECT_EQ(mention("  one\n  two\n", "0123\n  two ::\n    a\n    -> b\n4567\n  one :: C a => a\n"), "M.two");
  EXPECT_EQ(mention("  last\n", "0123\n  last :: a -> b"), "M.last");
}

TEST(MentionIn, IsNoFunctionWhoseTypeMatters) {
  EXPECT_EQ(mention("  one\n", "0123\n  one ::\n    Data.C.Class\n      a =>\n    a -> b\n"), "nothing");
  EXPECT_EQ(mention("  one\n", "0123\n  one :: (forall a. a -> a) -> b\n"), "nothing");
  EXPECT_EQ(mention("  one\n", "0123\n  one :: GHC.Prim.Int#\n"), "nothing");
  // What else is declared with a name like it.
  EXPECT_EQ(mention("  one\n", "0123\n  one_two :: a\n4567\n  $fone :: a\n"), "nothing");
}

TEST(MentionIn, IsATypeOtherwise) {
  EXPECT_EQ(mention("  one\n  Synonym\n  T{A B field}\n  U{V}\n", "0123\n  one :: C a => a\n"),
            "typeRep (Proxy :: Proxy M.T)");
  EXPECT_EQ(mention("  M.Inside.Class{M.Inside.method}\n", ""), "typeRep (Proxy :: Proxy M.Class)");
}

TEST(MentionIn, IsOfThePackage) {
  EXPECT_EQ(mention("  Other.T{Other.A}\n  Other.Inside.f\n  T|{A}\n", ""), "nothing");
  EXPECT_EQ(mention("", ""), "nothing");
  EXPECT_FALSE(mentionIn("", "M", {}));
  EXPECT_FALSE(mentionIn("exports:", "M", {}));
}

// A GHC made of scripts, with one package.
class FindMention : public testing::Test {
 protected:
  FindMention() {
    script("bin/ghc-pkg", "cat $(dirname $0)/told; echo broken >&2; exit $(cat $(dirname $0)/status)");
    script("ghc", "cat \"$2\"");
    tell("p\nTrue\nA.Inside.TH A B.TH\nC\n" + root() + "/none " + root() + "/library\n");
    module("A", interfaceWith("  a\n", "0123\n  a :: x\n"));
  }

  std::string root() const { return directory_.path(); }
  void script(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(root() + "/" + name).parent_path());
    ASSERT_TRUE(directory_.write(name, "#!/bin/sh\n" + text + "\n"));
    fs::permissions(root() + "/" + name, fs::perms::owner_all);
  }
  void tell(const std::string& text, const std::string& status = "0") {
    ASSERT_TRUE(directory_.write("bin/told", text));
    ASSERT_TRUE(directory_.write("bin/status", status));
  }
  void module(const std::string& name, const std::string& interface) {
    fs::create_directories(fs::path(root() + "/library/" + name).parent_path());
    ASSERT_TRUE(directory_.write("library/" + name + ".hi", interface));
  }
  Result<Mention> find() { return findMention(runner_, {root() + "/ghc", "9.0.2", root()}, "p"); }

  TemporaryDirectory directory_ = *TemporaryDirectory::make();
  ProcessRunner runner_;
};

TEST_F(FindMention, LooksAtModules) {
  Result<Mention> found = find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->package, "p");
  EXPECT_FALSE(found->hidden);
  EXPECT_EQ(found->module, "A");
  EXPECT_EQ(found->expression, "A.a");
}

TEST_F(FindMention, PrefersModulesForSplices) {
  module("A/Inside/TH", interfaceWith("  c\n", "0123\n  c :: x\n"));
  EXPECT_EQ(find()->expression, "A.Inside.TH.c");
  module("B/TH", interfaceWith("  b\n", "0123\n  b :: x\n"));
  EXPECT_EQ(find()->expression, "B.TH.b");
}

TEST_F(FindMention, TakesTheLastVersion) {
  tell("p\nTrue\nOld\n\n\np\nFalse\nA\n\n" + root() + "/library\n");
  Result<Mention> found = find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(found->hidden);
  EXPECT_EQ(found->module, "A");
}

TEST_F(FindMention, SaysWhatIsWrong) {
  tell("p\nTrue\n\n\n\n");
  EXPECT_EQ(find().error().message, "package p has nothing of its own that a splice could mention");
  tell("p\n");
  EXPECT_EQ(find().error().message, "ghc-pkg says too little of p");
  tell("", "1");
  EXPECT_EQ(find().error().message, "broken");
}

}  // namespace
}  // namespace splicehost::ctl
