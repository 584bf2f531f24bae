#include "iserv/remote/content_fetcher.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "iserv/remote/digest_memory.h"
#include "protocol/text.h"

namespace splicehost::remote {

Result<AnnouncedContent> readAnnounced(schema::Content::Reader content) {
  auto digest = readDigest(content.getSha256());
  if (!digest) return digest.error();
  std::string name = toString(content.getName());
  if (name.find('/') != name.npos || name.find('\0') != name.npos || name == "." || name == ".." || name.size() > 255) {
    return Error{"the front end names a file '" + name + "'"};
  }
  return AnnouncedContent{*digest, content.getSize(), std::move(name)};
}

Status ContentFetcher::want(const AnnouncedContent& content) {
  if (paths_.contains(content.digest) || transfers_.contains(content.digest)) return Done{};
  if (auto path = store_.find(content.digest, content.name)) {
    paths_.emplace(content.digest, *path);
    return Done{};
  }
  auto arrival = store_.expect(content.digest, content.size);
  if (!arrival) return arrival.error();
  Transfer& transfer = transfers_[content.digest];
  transfer.size = content.size;
  transfer.name = content.name;
  if (*arrival) ask(content.digest, transfer, std::move(**arrival));
  return Done{};
}

const std::string* ContentFetcher::find(const linker::ContentDigest& digest) const {
  auto path = paths_.find(digest);
  return path == paths_.end() ? nullptr : &path->second;
}

void ContentFetcher::ask(const linker::ContentDigest& digest, Transfer& transfer, ContentStore::Arrival arrival) {
  missing_.push_back({digest, arrival.offset()});
  transfer.arrival = std::move(arrival);
}

Status ContentFetcher::take(schema::ContentPart::Reader part) {
  auto digest = readDigest(part.getSha256());
  if (!digest) return digest.error();
  auto entry = transfers_.find(*digest);
  if (entry == transfers_.end() || !entry->second.arrival) return Error{"content arrives that was not asked for"};
  Transfer& transfer = entry->second;
  auto data = part.getData();
  Status appended = store_.append(*transfer.arrival, {reinterpret_cast<const std::byte*>(data.begin()), data.size()});
  if (!appended || !part.getLast()) return appended;
  Status finished = store_.finish(std::move(*transfer.arrival), transfer.name);
  transfer.arrival.reset();
  if (!finished) {
    // What was here of an earlier transfer may be what is wrong.
    if (std::exchange(transfer.again, true)) return finished;
    auto arrival = store_.expect(*digest, transfer.size);
    if (!arrival) return arrival.error();
    if (*arrival) ask(*digest, transfer, std::move(**arrival));
    return Done{};
  }
  auto path = store_.find(*digest, transfer.name);
  if (!path) return Error{"content that has arrived is not in " + store_.directory()};
  paths_.emplace(*digest, *path);
  transfers_.erase(entry);
  return Done{};
}

bool ContentFetcher::awaitsOthers() const {
  return std::ranges::any_of(transfers_, [](const auto& entry) { return !entry.second.arrival; });
}

Status ContentFetcher::lookForOthers() {
  for (auto entry = transfers_.begin(); entry != transfers_.end();) {
    auto& [digest, transfer] = *entry;
    if (transfer.arrival) {
      ++entry;
      continue;
    }
    auto path = store_.find(digest, transfer.name);
    if (!path) {
      auto arrival = store_.expect(digest, transfer.size);
      if (!arrival) return arrival.error();
      // It may have been put in its place between these two.
      if (*arrival) path = store_.find(digest, transfer.name);
      if (*arrival && !path) ask(digest, transfer, std::move(**arrival));
    }
    if (path) paths_.emplace(digest, *path);
    entry = path ? transfers_.erase(entry) : std::next(entry);
  }
  return Done{};
}

}  // namespace splicehost::remote
