#include "iserv/ctl/status_report.h"

#include <algorithm>
#include <cstdio>

#include "iserv/base/manifest.h"
#include "iserv/ctl/json.h"
#include "iserv/ctl/table.h"

namespace splicehost::ctl {

namespace {

constexpr size_t kShownInShort = 4;

using Zygote = schema::BrokerStatus::Zygote::Reader;
using Session = schema::BrokerStatus::Session::Reader;

std::string text(capnp::Text::Reader reader) { return std::string(reader.begin(), reader.size()); }

std::string_view view(capnp::Data::Reader data) {
  return std::string_view(reinterpret_cast<const char*>(data.begin()), data.size());
}

std::string megabytes(uint64_t bytes) { return std::to_string((bytes + (1 << 19)) >> 20) + "M"; }

std::string counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string loaded(Zygote zygote) {
  auto files = zygote.getFiles();
  if (files.size() == 0) return "nothing";
  return counted(files.size(), "file") + " up to " + libraryName(view(files[files.size() - 1]));
}

std::string hitRate(schema::BrokerStatus::Reader status) {
  if (status.getAttaches() == 0) return "no sessions so far";
  uint64_t percent = (status.getHits() * 100 + status.getAttaches() / 2) / status.getAttaches();
  return counted(status.getAttaches(), "session") + " so far, " + std::to_string(percent) +
         "% found their libraries loaded, which saved " + duration(static_cast<int64_t>(status.getSavedNanoseconds())) +
         " of loading";
}

std::string zygoteTable(schema::BrokerStatus::Reader status, int64_t now) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"zygote", kRight},
               {"GHC"},
               {"way"},
               {"loaded"},
               {"memory", kRight},
               {"resident", kRight},
               {"shared", kRight},
               {"forks", kRight},
               {"spares", kRight},
               {"idle", kRight}});
  for (Zygote zygote : status.getZygotes()) {
    std::string idle = zygote.getGrowing() ? "growing" : duration(now - zygote.getLastUsed());
    table.add({std::to_string(zygote.getProcessId()), text(zygote.getGhcVersion()),
               std::string(wayName(zygote.getWay())), loaded(zygote), megabytes(zygote.getProportionalBytes()),
               megabytes(zygote.getResidentBytes()), megabytes(zygote.getSharedBytes()),
               std::to_string(zygote.getForks()), std::to_string(zygote.getSpares()), idle});
  }
  return table.text();
}

std::string sessionTable(schema::BrokerStatus::Reader status, int64_t now, const ProcessState& stateOf) {
  constexpr auto kRight = Table::Align::kRight;
  Table table(
      {{"session", kRight}, {"client", kRight}, {"zygote", kRight}, {"age", kRight}, {"replayed", kRight}, {"state"}});
  for (Session session : status.getSessions()) {
    table.add({std::to_string(session.getProcessId()), std::to_string(session.getClientProcessId()),
               std::to_string(session.getZygoteProcessId()), duration(now - session.getStarted()),
               std::to_string(session.getReplayed()), stateOf(session.getProcessId())});
  }
  return table.text();
}

std::string asJson(Zygote zygote) {
  std::vector<std::string> files;
  for (auto file : zygote.getFiles()) files.push_back(jsonString(view(file)));
  return jsonObject({{"processId", std::to_string(zygote.getProcessId())},
                     {"ghcVersion", jsonString(text(zygote.getGhcVersion()))},
                     {"way", jsonString(wayName(zygote.getWay()))},
                     {"files", jsonArray(files)},
                     {"proportionalBytes", std::to_string(zygote.getProportionalBytes())},
                     {"residentBytes", std::to_string(zygote.getResidentBytes())},
                     {"sharedBytes", std::to_string(zygote.getSharedBytes())},
                     {"forks", std::to_string(zygote.getForks())},
                     {"spares", std::to_string(zygote.getSpares())},
                     {"symbols", std::to_string(zygote.getSymbols())},
                     {"lastUsed", std::to_string(zygote.getLastUsed())},
                     {"growing", jsonBool(zygote.getGrowing())}});
}

std::string unsharedTable(schema::BrokerStatus::Reader status) {
  Table table({{"not shared"}, {"GHC"}, {"way"}, {"why"}});
  for (auto unshared : status.getUnshared()) {
    table.add({libraryName(view(unshared.getFile())), text(unshared.getGhcVersion()),
               std::string(wayName(unshared.getWay())), text(unshared.getWhy())});
  }
  return table.text();
}

std::string asJson(schema::BrokerStatus::Unshared::Reader unshared) {
  return jsonObject({{"file", jsonString(view(unshared.getFile()))},
                     {"ghcVersion", jsonString(text(unshared.getGhcVersion()))},
                     {"way", jsonString(wayName(unshared.getWay()))},
                     {"why", jsonString(text(unshared.getWhy()))}});
}

std::string asJson(Session session, const ProcessState& stateOf) {
  return jsonObject({{"processId", std::to_string(session.getProcessId())},
                     {"clientProcessId", std::to_string(session.getClientProcessId())},
                     {"zygoteProcessId", std::to_string(session.getZygoteProcessId())},
                     {"started", std::to_string(session.getStarted())},
                     {"replayed", std::to_string(session.getReplayed())},
                     {"state", jsonString(stateOf(session.getProcessId()))}});
}

}  // namespace

std::string asTable(schema::BrokerStatus::Reader status, int64_t now, const ProcessState& stateOf) {
  std::string report = "Broker " + std::to_string(status.getProcessId()) + " in " + text(status.getDirectory()) +
                       ", for " + duration(now - status.getStarted()) + "\n";
  report += hitRate(status) + "\n";
  auto zygotes = status.getZygotes();
  report += counted(zygotes.size(), "zygote") + " with " + megabytes(status.getMemoryUsed()) + " of memory, of " +
            megabytes(status.getMemoryLimit()) + " at most\n";
  if (zygotes.size() > 0) report += "\n" + zygoteTable(status, now);
  if (status.getSessions().size() > 0) report += "\n" + sessionTable(status, now, stateOf);
  if (status.getUnshared().size() > 0) report += "\n" + unsharedTable(status);
  return report;
}

std::string asJson(schema::BrokerStatus::Reader status, const ProcessState& stateOf,
                   const std::vector<std::string>& others) {
  std::vector<std::string> zygotes, sessions, unshared;
  for (Zygote zygote : status.getZygotes()) zygotes.push_back(asJson(zygote));
  for (Session session : status.getSessions()) sessions.push_back(asJson(session, stateOf));
  for (auto entry : status.getUnshared()) unshared.push_back(asJson(entry));
  return jsonObject({{"running", jsonBool(true)},
                     {"processId", std::to_string(status.getProcessId())},
                     {"started", std::to_string(status.getStarted())},
                     {"directory", jsonString(text(status.getDirectory()))},
                     {"attaches", std::to_string(status.getAttaches())},
                     {"hits", std::to_string(status.getHits())},
                     {"savedNanoseconds", std::to_string(status.getSavedNanoseconds())},
                     {"memoryUsed", std::to_string(status.getMemoryUsed())},
                     {"memoryLimit", std::to_string(status.getMemoryLimit())},
                     {"zygotes", jsonArray(zygotes)},
                     {"sessions", jsonArray(sessions)},
                     {"unshared", jsonArray(unshared)},
                     {"others", jsonArray(others)}});
}

std::string noBrokerAsJson() { return jsonObject({{"running", jsonBool(false)}}); }

std::string zygotesInShort(schema::BrokerStatus::Reader status) {
  std::vector<Zygote> zygotes;
  for (Zygote zygote : status.getZygotes()) zygotes.push_back(zygote);
  std::stable_sort(zygotes.begin(), zygotes.end(),
                   [](Zygote one, Zygote other) { return one.getLastUsed() > other.getLastUsed(); });
  std::string line = counted(zygotes.size(), "zygote");
  size_t shown = std::min(zygotes.size(), kShownInShort);
  for (size_t i = 0; i < shown; ++i) {
    std::string way(wayName(zygotes[i].getWay()));
    line += (i == 0 ? ": " : ", ") + way + " with " + loaded(zygotes[i]);
  }
  if (shown < zygotes.size()) line += ", and " + std::to_string(zygotes.size() - shown) + " more";
  return line + "\n";
}

std::string duration(int64_t nanoseconds) {
  constexpr int64_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour;
  // A clock may have been set back.
  nanoseconds = std::max(nanoseconds, int64_t{0});
  int64_t tenths = nanoseconds / 100'000'000;
  int64_t seconds = tenths / 10;
  if (seconds < 10) return std::to_string(seconds) + "." + std::to_string(tenths % 10) + " s";
  if (seconds < 2 * kMinute) return std::to_string(seconds) + " s";
  if (seconds < 2 * kHour) return std::to_string(seconds / kMinute) + " min";
  if (seconds < 2 * kDay) return std::to_string(seconds / kHour) + " h";
  return std::to_string(seconds / kDay) + " days";
}

std::string libraryName(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789";
  std::string_view name = path.substr(path.rfind('/') + 1);
  std::string_view package = name;
  if (package.starts_with("lib")) package.remove_prefix(3);
  if (!package.starts_with("HS")) return std::string(name);
  package.remove_prefix(2);
  // The version follows the first dash before a digit; then come a hash, the way, and the suffix.
  size_t dash = package.find('-');
  while (dash != std::string_view::npos && kDigits.find(package[dash + 1]) == std::string_view::npos) {
    dash = package.find('-', dash + 1);
  }
  if (dash == std::string_view::npos) return std::string(name);
  size_t end = std::min(package.find_first_not_of("0123456789.", dash + 1), package.size());
  while (kDigits.find(package[end - 1]) == std::string_view::npos) --end;
  return std::string(package.substr(0, end));
}

}  // namespace splicehost::ctl
