// Messages of every kind: what they are in the schema, and their bytes on a GHC's wire.
#pragma once

#include <algorithm>
#include <cctype>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/ghc_versions.h"
#include "protocol/interpreter.capnp.h"

namespace splicehost::testing {

struct RequestCase {
  // Unique, of letters and digits.
  const char* name;
  // The bytes, for wire().
  const char* bytes;
  std::function<void(schema::Request::Builder)> build;
};

struct ReplyCase {
  const char* name;
  // The kind of request that is answered.
  schema::Request::Which request;
  // The answer's bytes. A splice's are preceded by RunTHDone, which is not among them.
  const char* bytes;
  std::function<void(schema::Reply::Builder)> build;
};

// Those that a version has, in the order of recorded/Encode.hs.
std::vector<RequestCase> requestCases(const ghc::Version& version);
std::vector<ReplyCase> replyCases(const ghc::Version& version);

// A case of a version, as a parameter of tests.
template <typename Case>
struct Versioned {
  const ghc::Version* version;
  Case each;
};

// The cases of all versions.
template <typename Case>
std::vector<Versioned<Case>> ofAllVersions(std::vector<Case> (*cases)(const ghc::Version&)) {
  std::vector<Versioned<Case>> all;
  for (const ghc::Version& version : ghc::versions()) {
    for (Case& each : cases(version)) all.push_back({&version, std::move(each)});
  }
  return all;
}

// A version and more as a test's name: letters, digits and underscores.
inline std::string testName(const ghc::Version& version, std::string_view rest = "") {
  std::string name = "Ghc" + std::string(version.name) + (rest.empty() ? "" : "_") + std::string(rest);
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

template <typename Case>
void PrintTo(const Versioned<Case>& each, std::ostream* out) {
  *out << each.version->name << ' ' << each.each.name;
}

}  // namespace splicehost::testing
