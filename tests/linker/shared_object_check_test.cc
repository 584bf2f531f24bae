#include "linker/shared_object_check.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

TEST(SharedObjectCheck, CutShortAnywhereIsAnErrorOrLoads) {
  const test::TemporaryDirectory directory;
  directory.write("x.c", "static int filled[5000] = {1}; int* f(int n) { return &filled[n]; }");
  directory.run(std::string(TEST_COMPILER) + " -x c -shared -fPIC -o x.so x.c");
  const test::Bytes whole = test::readFile(directory.file("x.so"));
  ASSERT_TRUE(checkSharedObject(directory.file("x.so")).ok());
  int loaded = 0;
  int refused = 0;
  for (size_t size = 0; size < whole.size(); size += 509) {
    const std::string name = std::to_string(size) + ".so";
    const std::string path = directory.write(name, std::span(whole).first(size));
    Status checked = checkSharedObject(path);
    if (!checked) {
      EXPECT_NE(checked.error().message.find(name + ": the file is cut short"), std::string::npos);
      ++refused;
      continue;
    }
    // The process lives on, whatever the loader says.
    void* object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (object == nullptr) continue;
    ++loaded;
    auto* f = reinterpret_cast<int* (*)(int)>(dlsym(object, "f"));
    ASSERT_NE(f, nullptr);
    EXPECT_EQ(*f(0) + *f(4999), 1);
    dlclose(object);
  }
  EXPECT_GT(refused, 10);
  // Of what follows the segments, the section table, the loader has no need.
  EXPECT_GT(loaded, 0);
}

TEST(SharedObjectCheck, LeavesAllElseToTheLoader) {
  const test::TemporaryDirectory directory;
  EXPECT_TRUE(checkSharedObject("libc.so").ok());
  EXPECT_TRUE(checkSharedObject(directory.file("missing.so")).ok());
  EXPECT_TRUE(checkSharedObject(directory.path()).ok());
  EXPECT_TRUE(checkSharedObject(directory.write("script.so", "GROUP ( /lib/libm.so.6 )\n")).ok());
  EXPECT_TRUE(checkSharedObject(directory.write("empty.so", "")).ok());
  directory.write("x.o", test::sampleObject());
  EXPECT_TRUE(checkSharedObject(directory.file("x.o")).ok());
}

}  // namespace
}  // namespace splicehost::linker
