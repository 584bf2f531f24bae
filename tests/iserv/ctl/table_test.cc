#include "iserv/ctl/table.h"

#include <gtest/gtest.h>

namespace splicehost::ctl {
namespace {

TEST(Table, AlignsItsColumns) {
  Table table({{"name"}, {"count", Table::Align::kRight}, {"note"}});
  table.add({"a", "1", "first"});
  table.add({"longer", "123456", ""});
  EXPECT_EQ(table.text(),
            "  name     count  note\n"
            "  a            1  first\n"
            "  longer  123456\n");
}

TEST(Table, CountsCharactersNotBytes) {
  Table table({{"name"}, {"note"}});
  table.add({"ähnlich", "x"});
  table.add({"similar", "y"});
  EXPECT_EQ(table.text(),
            "  name     note\n"
            "  ähnlich  x\n"
            "  similar  y\n");
}

TEST(Table, MayHaveNoLines) { EXPECT_EQ(Table({{"name"}, {"note"}}).text(), "  name  note\n"); }

}  // namespace
}  // namespace splicehost::ctl
