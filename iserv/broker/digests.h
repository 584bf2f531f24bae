// Reading files to know their content, without keeping the loop waiting.
#pragma once

#include <uv.h>

#include <functional>
#include <mutex>
#include <string>

#include "linker/content_identity.h"

namespace splicehost::broker {

struct FileContent {
  linker::ContentDigest digest;
  linker::FileStamp stamp;
  bool settled = false;  // whether the stamp stands for the content for ever
};

class Digests {
 public:
  explicit Digests(uv_loop_t& loop) : loop_(loop) {}

  // Calls `done` later, from the loop. This object must live until then.
  void identify(std::string path, std::function<void(Result<FileContent>)> done);

 private:
  Result<FileContent> contentOf(const std::string& path);

  uv_loop_t& loop_;
  std::mutex mutex_;
  linker::DigestCache cache_;
};

}  // namespace splicehost::broker
