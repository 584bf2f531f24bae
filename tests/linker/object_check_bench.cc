// What the check of libraries costs: every file named is checked several times, and
// the quickest round is reported, so with a warm page cache:
//
//   object_check_bench /usr/lib/ghc/*/libHS*.a
//
// linker/object_check.h has the figures that this gave. Hashing is there for comparison.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>

#include "linker/content_identity.h"
#include "linker/object_check.h"

namespace {

using namespace splicehost;
using namespace splicehost::linker;

constexpr int kRounds = 9;

template <typename Work>
double quickestMilliseconds(Work work) {
  double best = std::numeric_limits<double>::max();
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return best;
}

void report(const char* what, double milliseconds, double megabytes) {
  std::printf("%-10s %8.2f ms  %6.3f ms per 10 MB\n", what, milliseconds, milliseconds / megabytes * 10);
}

}  // namespace

int main(int count, char** arguments) {
  uint64_t bytes = 0;
  for (int i = 1; i < count; ++i) {
    if (Result<FileSignature> signature = signatureOf(arguments[i]); signature) bytes += signature->size;
    if (Status checked = checkLoadableArchive(arguments[i]); !checked) {
      std::printf("%s\n", checked.error().message.c_str());
      return 1;
    }
  }
  const double megabytes = static_cast<double>(bytes) / 1e6;
  std::printf("%d archives, %.1f MB\n", count - 1, megabytes);

  report("check", quickestMilliseconds([&] {
           for (int i = 1; i < count; ++i) (void)checkLoadableArchive(arguments[i]).ok();
         }),
         megabytes);
  report("sha-256", quickestMilliseconds([&] {
           for (int i = 1; i < count; ++i) (void)digestFile(arguments[i]).ok();
         }),
         megabytes);
  return 0;
}
