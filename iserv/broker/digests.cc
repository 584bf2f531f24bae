#include "iserv/broker/digests.h"

#include <memory>
#include <optional>

#include "iserv/broker/event_loop.h"

namespace splicehost::broker {

void Digests::identify(std::string path, std::function<void(Result<FileContent>)> done) {
  auto content = std::make_shared<std::optional<Result<FileContent>>>();
  inBackground(
      loop_, [this, content, path = std::move(path)] { content->emplace(contentOf(path)); },
      [content, done = std::move(done)] { done(std::move(**content)); });
}

Result<FileContent> Digests::contentOf(const std::string& path) {
  std::lock_guard lock(mutex_);
  int64_t begin = linker::systemClock();
  Result<linker::FileStamp> before = linker::stampOf(path);
  if (!before) return before.error();
  Result<linker::ContentDigest> digest = cache_.digestOf(path);
  if (!digest) return digest.error();
  Result<linker::FileStamp> after = linker::stampOf(path);
  if (!after) return after.error();
  return FileContent{*digest, *after, *before == *after && linker::hasSettled(*after, begin)};
}

}  // namespace splicehost::broker
