// Names of code. The test stands for the RTS, which has a table of what it has loaded, and for a program with Haskell
// code.

#include "iserv/interpreter/symbol_names.h"

#include <Rts.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

// As the RTS's linker has them (rts/LinkerInternals.h).
struct RtsSymbolInfo {
  const void* address;
};

struct hashtable {
  std::map<std::string, RtsSymbolInfo> symbols;
};

extern "C" {
__attribute__((visibility("default"))) struct hashtable* symhash = nullptr;

__attribute__((visibility("default"))) void mapHashTable(struct hashtable* table, void* data,
                                                         void (*function)(void*, StgWord, const void*)) {
  for (const auto& [name, symbol] : table->symbols) {
    function(data, reinterpret_cast<StgWord>(name.c_str()), &symbol);
  }
}

__attribute__((visibility("default"))) char base_GHCziList_badHead_info[64] = {};
__attribute__((visibility("default"))) char someData[64] = {};
}

namespace splicehost::linker {
namespace {

// Where nothing of this program's is.
const char* const kLoaded = reinterpret_cast<const char*>(0x40000000);

class SymbolNames : public ::testing::Test {
 protected:
  SymbolNames() { symhash = &table_; }
  ~SymbolNames() override { symhash = nullptr; }

  void load(const std::string& symbol, const char* address) { table_.symbols[symbol] = {address}; }
  static std::string haskell(const void* address) {
    char name[100];
    return haskellName(address, name, sizeof name) ? name : "(none)";
  }
  static std::string any(const void* address) {
    char name[100];
    return symbolName(address, name, sizeof name) ? name : "(none)";
  }
  // How the name of Haskell code is shown.
  std::string shown(const std::string& symbol) {
    load(symbol + "_info", kLoaded);
    std::string name = haskell(kLoaded);
    table_.symbols.clear();
    return name;
  }

  hashtable table_;
};

TEST_F(SymbolNames, AreThoseOfTheProgram) {
  EXPECT_EQ(haskell(base_GHCziList_badHead_info), "base_GHC.List_badHead");
  EXPECT_EQ(haskell(base_GHCziList_badHead_info + 16), "base_GHC.List_badHead + 16");
  EXPECT_EQ(any(someData + 8), "someData + 8");
  EXPECT_EQ(haskell(someData), "(none)");
}

TEST_F(SymbolNames, AreThoseThatTheRtsHasLoaded) {
  load("lens_ControlziLens_view_info", kLoaded);
  load("lens_ControlziLens_over_info", kLoaded + 0x100);
  load("c_function", kLoaded + 0x200);
  EXPECT_EQ(haskell(kLoaded), "lens_Control.Lens_view");
  EXPECT_EQ(haskell(kLoaded + 0xff), "lens_Control.Lens_view + 255");
  EXPECT_EQ(haskell(kLoaded + 0x100), "lens_Control.Lens_over");
  EXPECT_EQ(haskell(kLoaded + 0x204), "(none)");
  EXPECT_EQ(any(kLoaded + 0x204), "c_function + 4");
}

TEST_F(SymbolNames, AreNotThoseOfWhatIsFarAway) {
  load("lens_ControlziLens_view_info", kLoaded);
  EXPECT_EQ(any(kLoaded - 1), "(none)");
  EXPECT_EQ(haskell(kLoaded + 0x10000), "lens_Control.Lens_view + 65536");
  EXPECT_EQ(haskell(kLoaded + 0x10001), "(none)");
}

// Objects of an archive that nobody has needed yet.
TEST_F(SymbolNames, AreNotThoseOfWhatIsNotLinked) {
  load("lens_ControlziLens_view_info", nullptr);
  EXPECT_EQ(haskell(kLoaded), "(none)");
}

TEST_F(SymbolNames, AreNoneWithoutATable) {
  symhash = nullptr;
  EXPECT_EQ(any(kLoaded), "(none)");
}

TEST_F(SymbolNames, AreReadable) {
  EXPECT_EQ(shown("base_GHCziBase_zpzp"), "base_GHC.Base_++");
  EXPECT_EQ(shown("ghczmprim_GHCziClasses_zeze"), "ghc-prim_GHC.Classes_==");
  EXPECT_EQ(shown("main_Main_azzz"), "main_Main_azz");  // one "zz" is a z
  EXPECT_EQ(shown("main_Main_zdwgozq"), "main_Main_$wgo'");
  EXPECT_EQ(shown("main_Main_az"), "main_Main_az");
  EXPECT_EQ(shown("main_Main_z0"), "main_Main_z0");
}

TEST_F(SymbolNames, AreCutOffWhereThereIsNoRoom) {
  load("main_Main_" + std::string(200, 'x') + "_info", kLoaded);
  char name[20];
  ASSERT_TRUE(haskellName(kLoaded + 1, name, sizeof name));
  EXPECT_EQ(std::string(name), "main_Main_xxxxxxxxx");
  load("c_" + std::string(200, 'x'), kLoaded + 16);
  ASSERT_TRUE(symbolName(kLoaded + 17, name, sizeof name));
  EXPECT_EQ(std::string(name), "c_xxxxxxxxxxxxxxxxx");
}

}  // namespace
}  // namespace splicehost::linker
