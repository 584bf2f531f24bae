#include "iserv/interpreter/symbol_names.h"

#include <Rts.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

// Of the RTS (rts/Linker.c, rts/Hash.c, GHC 9.0.2). Weak: a shared RTS keeps them to itself, but then
// the RTS linker has loaded nothing.
extern "C" {
typedef void (*MapHashFn)(void* data, StgWord key, const void* value);
extern struct hashtable* symhash __attribute__((weak));
void mapHashTable(struct hashtable* table, void* data, MapHashFn function) __attribute__((weak));
}

namespace splicehost::linker {

namespace {

// How an entry of the RTS linker's symbol table begins (rts/LinkerInternals.h, RtsSymbolInfo).
struct LoadedSymbol {
  const void* address;  // null as long as it is not linked
};

struct Symbol {
  const char* name = nullptr;
  const char* address = nullptr;
};

// Code behind its symbol by more than this belongs to something without a name.
constexpr ptrdiff_t kMaxDistance = 64 << 10;

struct Search {
  const char* address;
  Symbol best;
};

void consider(void* data, StgWord key, const void* value) {
  auto* search = static_cast<Search*>(data);
  auto* address = static_cast<const char*>(static_cast<const LoadedSymbol*>(value)->address);
  if (address == nullptr || address > search->address || address <= search->best.address) return;
  search->best = {reinterpret_cast<const char*>(key), address};
}

Symbol find(const void* wanted) {
  auto* address = static_cast<const char*>(wanted);
  Dl_info info;
  if (dladdr(wanted, &info) != 0 && info.dli_sname != nullptr) {
    return {info.dli_sname, static_cast<const char*>(info.dli_saddr)};
  }
  if (&symhash == nullptr || symhash == nullptr || mapHashTable == nullptr) return {};
  Search search{address, {}};
  mapHashTable(symhash, &search, consider);
  if (search.best.name == nullptr || address - search.best.address > kMaxDistance) return {};
  return search.best;
}

// What z-encoding writes for a character behind a "z" (GHC.Utils.Encoding), or 0.
char decodeZ(char code) {
  constexpr std::string_view kCodes = "imqzedutphlsrcv";
  constexpr std::string_view kMeant = ".-'z=$_*+#</>^%";
  size_t at = kCodes.find(code);
  return at == std::string_view::npos ? 0 : kMeant[at];
}

// "base_GHCziList_badHead" is GHC.List.badHead of base.
void zDecode(std::string_view symbol, char* out, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < symbol.size() && used + 1 < size; ++i) {
    bool escape = i + 1 < symbol.size() && (symbol[i] == 'z' || symbol[i] == 'Z');
    char decoded = escape ? (symbol[i] == 'z' ? decodeZ(symbol[i + 1]) : 0) : symbol[i];
    if (escape && decoded != 0) ++i;
    out[used++] = decoded != 0 ? decoded : symbol[i];
  }
  out[used] = 0;
}

void appendOffset(char* name, size_t size, ptrdiff_t offset) {
  size_t used = std::strlen(name);
  if (offset > 0) std::snprintf(name + used, size - used, " + %td", offset);
}

}  // namespace

bool haskellName(const void* address, char* name, size_t size) {
  constexpr std::string_view kInfoTable = "_info";
  Symbol symbol = find(address);
  if (symbol.name == nullptr || !std::string_view(symbol.name).ends_with(kInfoTable)) return false;
  std::string_view code = symbol.name;
  code.remove_suffix(kInfoTable.size());
  zDecode(code, name, size);
  appendOffset(name, size, static_cast<const char*>(address) - symbol.address);
  return true;
}

bool symbolName(const void* address, char* name, size_t size) {
  Symbol symbol = find(address);
  if (symbol.name == nullptr) return false;
  std::snprintf(name, size, "%s", symbol.name);
  appendOffset(name, size, static_cast<const char*>(address) - symbol.address);
  return true;
}

}  // namespace splicehost::linker
