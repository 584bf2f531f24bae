// Reading files to know their content, without keeping the loop waiting.
#pragma once

#include <uv.h>

#include <deque>
#include <functional>
#include <string>

#include "linker/content_identity.h"

namespace splicehost::broker {

using linker::FileContent;

class Digests {
 public:
  // Files that are read at a time. One on a server that does not answer must not keep others waiting, nor what else is
  // done in the background.
  static constexpr size_t kMostAtOnce = 6;
  // Bytes. There are no larger libraries, and reading one would take minutes.
  static constexpr uint64_t kMaxFile = uint64_t{4} << 30;

  explicit Digests(uv_loop_t& loop) : loop_(loop) {}

  // Calls `done` later, from the loop. This object must live until then.
  void identify(std::string path, std::function<void(Result<FileContent>)> done);

 private:
  struct Order {
    std::string path;
    std::function<void(Result<FileContent>)> done;
  };

  void begin();
  Result<FileContent> contentOf(const std::string& path);
  uv_loop_t& loop_;
  std::deque<Order> waiting_;
  size_t reading_ = 0;
  linker::DigestCache cache_;  // for the threads that read
};

}  // namespace splicehost::broker
