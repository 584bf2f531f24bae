#include "protocol/ghc_versions.h"

#include <algorithm>
#include <array>

namespace splicehost::ghc {

namespace {

using R = schema::Request;

// `appended` after `table`: later versions give new messages new tags behind the old ones.
template <typename T, size_t m, size_t n>
constexpr std::array<T, m + n> operator+(const std::array<T, m>& table, const std::array<T, n>& appended) {
  std::array<T, m + n> all{};
  std::copy(table.begin(), table.end(), all.begin());
  std::copy(appended.begin(), appended.end(), all.begin() + m);
  return all;
}

// `table` with another message for one tag.
template <size_t n>
constexpr std::array<R::Which, n> replaced(std::array<R::Which, n> table, R::Which old, R::Which now) {
  std::replace(table.begin(), table.end(), old, now);
  return table;
}

constexpr std::array kRequests902 = {
    R::SHUTDOWN,
    R::INIT_LINKER,
    R::LOOKUP_SYMBOL,
    R::LOOKUP_CLOSURE,
    R::LOAD_DLL,
    R::LOAD_ARCHIVE,
    R::LOAD_OBJ,
    R::UNLOAD_OBJ,
    R::ADD_LIBRARY_SEARCH_PATH,
    R::REMOVE_LIBRARY_SEARCH_PATH,
    R::RESOLVE_OBJS,
    R::FIND_SYSTEM_LIBRARY,
    R::CREATE_BCOS,
    R::FREE_REFERENCES,
    R::MALLOC_DATA,
    R::MALLOC_STRINGS,
    R::PREP_FFI,
    R::FREE_FFI,
    R::MK_CON_INFO_TABLE,
    R::EVAL_STMT,
    R::RESUME_STMT,
    R::ABANDON_STMT,
    R::EVAL_STRING,
    R::EVAL_STRING_TO_STRING,
    R::EVAL_IO,
    R::MK_COST_CENTRES,
    R::COST_CENTRE_STACK_INFO,
    R::NEW_BREAK_ARRAY,
    R::ENABLE_BREAKPOINT,
    R::BREAKPOINT_STATUS,
    R::GET_BREAKPOINT_VAR,
    R::START_TH,
    R::RUN_MOD_FINALIZERS,
    R::ADD_SPT_ENTRY,
    R::RUN_TH,
    R::GET_CLOSURE,
    R::SEQ,
    R::RTS_REVERT_CAFS,
    R::RESUME_SEQ,
};

constexpr std::array kRequests966 = replaced(kRequests902, R::ENABLE_BREAKPOINT, R::SETUP_BREAKPOINT);

constexpr std::array kRequests9103 = kRequests966 + std::array{R::NEW_BREAK_MODULE, R::LOOKUP_SYMBOL_IN_DLL};

constexpr std::array<std::string_view, 23> kThMessages902 = {
    "NewName",
    "Report",
    "LookupName",
    "Reify",
    "ReifyFixity",
    "ReifyInstances",
    "ReifyRoles",
    "ReifyAnnotations",
    "ReifyModule",
    "ReifyConStrictness",
    "AddDependentFile",
    "AddTempFile",
    "AddTopDecls",
    "IsExtEnabled",
    "ExtsEnabled",
    "StartRecover",
    "EndRecover",
    "FailIfErrs",
    "RunTHDone",
    "AddModFinalizer",
    "AddForeignFilePath",
    "AddCorePlugin",
    "ReifyType",
};

constexpr std::array kThMessages966 =
    kThMessages902 + std::array<std::string_view, 3>{"PutDoc", "GetDoc", "GetPackageRoot"};

constexpr uint8_t kRunTHDone = 18;
constexpr uint8_t kAddModFinalizer = 19;

constexpr std::array kVersions = {
    Version{"9.0.2", kRequests902, kThMessages902, kRunTHDone, kAddModFinalizer, LoadDllAnswer::kMaybeError,
            BreakLocation::kUnique},
    Version{"9.6.6", kRequests966, kThMessages966, kRunTHDone, kAddModFinalizer, LoadDllAnswer::kMaybeError,
            BreakLocation::kUnique},
    Version{"9.10.3", kRequests9103, kThMessages966, kRunTHDone, kAddModFinalizer, LoadDllAnswer::kErrorOrHandle,
            BreakLocation::kModules},
};

}  // namespace

std::span<const Version> versions() { return kVersions; }

const Version* findVersion(std::string_view name) {
  for (const Version& version : kVersions) {
    if (version.name == name) return &version;
  }
  return nullptr;
}

int requestTag(const Version& version, schema::Request::Which which) {
  for (size_t tag = 0; tag < version.requests.size(); ++tag) {
    if (version.requests[tag] == which) return static_cast<int>(tag);
  }
  return -1;
}

}  // namespace splicehost::ghc
