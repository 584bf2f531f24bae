#include "iserv/broker/unshared_files.h"

#include <algorithm>

namespace splicehost::broker {

namespace {

bool isTheSame(const LoadConditions::File& file) { return linker::signatureOfAny(file.path) == file.signature; }

UnsharedFiles::Verdict judgeBy(const UnsharedFiles::Entry& entry, const AskedOperation& asked) {
  using Verdict = UnsharedFiles::Verdict;
  if (entry.operation.kind != asked.operation.kind) return Verdict::kShared;
  Verdict verdict = Verdict::kUnshared;
  if (!entry.digest) {
    if (entry.operation.file != asked.operation.file) return Verdict::kShared;
  } else if (asked.digest) {
    if (*asked.digest != *entry.digest) return Verdict::kShared;
  } else {
    if (!asked.signature || asked.signature->size != entry.size) return Verdict::kShared;
    verdict = Verdict::kUndecided;
  }
  return std::ranges::all_of(entry.dependencies, isTheSame) ? verdict : Verdict::kShared;
}

}  // namespace

void UnsharedFiles::add(Entry entry) {
  std::erase_if(entries_, [&](const Entry& known) {
    bool isSame = entry.digest ? known.digest == entry.digest : known.operation == entry.operation;
    return isSame && known.operation.kind == entry.operation.kind;
  });
  if (entries_.size() == kMostRemembered) entries_.pop_front();
  entries_.push_back(std::move(entry));
}

UnsharedFiles::Verdict UnsharedFiles::judge(const AskedOperation& asked) const {
  Verdict result = Verdict::kShared;
  for (const Entry& entry : entries_) {
    Verdict verdict = judgeBy(entry, asked);
    if (verdict == Verdict::kUnshared) return verdict;
    if (verdict == Verdict::kUndecided) result = verdict;
  }
  return result;
}

}  // namespace splicehost::broker
