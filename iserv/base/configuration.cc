#include "iserv/base/configuration.h"
#include "iserv/base/file_content.h"
#include "protocol/system.h"

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace splicehost {

namespace {

// Nobody writes a larger one; a device has no end.
constexpr size_t kMaxFile = 64 << 10;

constexpr uint64_t kMebibyte = uint64_t{1} << 20;

// What builds and version control keep in a project's directory.
constexpr char kExcluded[] =
    ".git,.hg,.svn,.stack-work,dist,dist-newstyle,node_modules,*.o,*.hi,*.hie,*.dyn_o,*.dyn_hi,*.p_o,*.p_hi,"
    "*.o-boot,*.hi-boot,*.a,*.so";

std::string_view variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool readNumber(std::string_view text, uint32_t least, uint32_t most, uint32_t& value) {
  std::optional<uint64_t> given = number(text);
  if (!given || *given < least || *given > most) return false;
  value = static_cast<uint32_t>(*given);
  return true;
}

bool readShare(std::string_view text, Configuration& configuration) {
  configuration.share = text == "on";
  return text == "on" || text == "off";
}

bool readBytes(std::string_view text, uint64_t& bytes) {
  int shift = text.ends_with('K') ? 10 : text.ends_with('M') ? 20 : text.ends_with('G') ? 30 : 0;
  if (shift != 0) text.remove_suffix(1);
  std::optional<uint64_t> given = number(text);
  if (!given || *given == 0 || *given > UINT64_MAX >> shift) return false;
  bytes = *given << shift;
  return true;
}

bool readMemory(std::string_view text, Configuration& configuration) {
  return readBytes(text, configuration.memoryBytes);
}

bool readMaxFile(std::string_view text, Configuration& configuration) {
  return readBytes(text, configuration.maxFileBytes);
}

bool readTimeout(std::string_view text, Configuration& configuration) {
  return readNumber(text, 1, 3600, configuration.timeoutSeconds);
}

template <std::string Configuration::*Member>
bool readText(std::string_view text, Configuration& configuration) {
  configuration.*Member = text;
  return true;
}

template <std::vector<std::string> Configuration::*Member>
bool readList(std::string_view text, Configuration& configuration) {
  configuration.*Member = splitAtCommas(text);
  return true;
}

bool readRoot(std::string_view text, Configuration& configuration) {
  configuration.root = text;
  return text.empty() || text == "none" || text.starts_with('/');
}

bool readZygotes(std::string_view text, Configuration& configuration) {
  return readNumber(text, 1, 1000, configuration.zygotes);
}

bool readSpares(std::string_view text, Configuration& configuration) {
  return readNumber(text, 0, 16, configuration.spares);
}

bool readIdle(std::string_view text, Configuration& configuration) {
  return readNumber(text, 1, 1000000, configuration.idleSeconds);
}

struct Rule {
  std::string_view name;
  const char* variable;
  // Puts a value in force. False if it is not one.
  bool (*read)(std::string_view text, Configuration& configuration);
  std::string_view allowed;
};

// In the order of Configuration::settings.
constexpr Rule kRules[] = {
    {"share", "ISERV_SHARE", readShare, "on or off"},
    {"memory", "ISERV_MEMORY", readMemory, "a number of bytes, or of K, M or G such as 4G"},
    {"zygotes", "ISERV_ZYGOTES", readZygotes, "a number from 1 to 1000"},
    {"spares", "ISERV_SPARES", readSpares, "a number from 0 to 16"},
    {"idle", "ISERV_IDLE", readIdle, "a number of seconds from 1 to 1000000"},
    {"via", "ISERV_VIA", readText<&Configuration::via>, "a command, unix:PATH or tcp:HOST:PORT"},
    {"architecture", "ISERV_ARCHITECTURE", readText<&Configuration::architecture>, "a machine's name such as aarch64"},
    {"root", "ISERV_ROOT", readRoot, "the absolute path of a directory, or none"},
    {"exclude", "ISERV_EXCLUDE", readList<&Configuration::exclude>, "patterns with commas between them"},
    {"max-file", "ISERV_MAX_FILE", readMaxFile, "a number of bytes, or of K, M or G such as 64M"},
    {"variables", "ISERV_VARIABLES", readList<&Configuration::variables>, "names with commas between them"},
    {"token-file", "ISERV_TOKEN_FILE", readText<&Configuration::tokenFile>, "the path of a file"},
    {"certificate", "ISERV_CERTIFICATE", readText<&Configuration::certificate>, "the path of a file"},
    {"timeout", "ISERV_TIMEOUT", readTimeout, "a number of seconds from 1 to 3600"},
};
constexpr size_t kCount = std::size(kRules);

std::string allNames() {
  std::string names;
  for (size_t i = 0; i < kCount; ++i) {
    names += (i == 0 ? "" : i + 1 == kCount ? " and " : ", ") + std::string(kRules[i].name);
  }
  return names;
}

// A quarter of the machine's, in whole mebibytes, for people to read.
std::string defaultMemory() {
  struct sysinfo machine;
  sysinfo(&machine);
  uint64_t quarter = uint64_t{machine.totalram} * machine.mem_unit / 4;
  return std::to_string(std::max(quarter / kMebibyte, uint64_t{1})) + "M";
}

// Gives the setting number `index` a value from `source`, where it is called `name`.
Status set(Configuration& configuration, size_t index, std::string_view value, const std::string& name,
           const std::string& source) {
  if (!kRules[index].read(value, configuration)) {
    return Error{name + " is '" + std::string(value) + "', but must be " + std::string(kRules[index].allowed)};
  }
  configuration.settings[index] = {kRules[index].name, std::string(value), source};
  return Done{};
}

Status setDefaults(Configuration& configuration) {
  const std::string values[kCount] = {
      "on", defaultMemory(), "24", "2", "900", "", "", "", kExcluded, "16M", "LANG,LC_ALL,LC_CTYPE,TZ", "", "", "30",
  };
  for (size_t i = 0; i < kCount; ++i) {
    Status done = set(configuration, i, values[i], std::string(kRules[i].name), "default");
    if (!done) return done;
  }
  return Done{};
}

Status setFromLine(Configuration& configuration, std::string_view line, const std::string& place) {
  line = trimmed(line.substr(0, line.find('#')));
  if (line.empty()) return Done{};
  size_t equals = line.find('=');
  if (equals == std::string_view::npos) {
    return Error{place + ": '" + std::string(line) + "' is not of the form name = value"};
  }
  std::string name(trimmed(line.substr(0, equals)));
  for (size_t i = 0; i < kCount; ++i) {
    if (name != kRules[i].name) continue;
    const std::string& source = configuration.settings[i].source;
    if (source != "default") return Error{place + ": " + name + " is set already, in " + source};
    return set(configuration, i, trimmed(line.substr(equals + 1)), place + ": " + name, place);
  }
  return Error{place + ": there is no setting '" + name + "'; there are " + allNames()};
}

Status setFromFile(Configuration& configuration, const std::string& path) {
  if (path.empty()) return Done{};
  Result<std::string> content = readFile(path, kMaxFile);
  if (!content && (errno == ENOENT || errno == ENOTDIR)) return Done{};
  if (!content) return content.error();
  std::string_view rest = *content;
  for (int number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    Status done = setFromLine(configuration, line, path + ":" + std::to_string(number));
    if (!done) return done;
  }
  return Done{};
}

// A variable that is empty is as good as not set.
Status setFromEnvironment(Configuration& configuration) {
  for (size_t i = 0; i < kCount; ++i) {
    std::string_view value = trimmed(variable(kRules[i].variable));
    if (value.empty()) continue;
    Status done = set(configuration, i, value, kRules[i].variable, kRules[i].variable);
    if (!done) return done;
  }
  return Done{};
}

}  // namespace

std::vector<std::string> splitAtCommas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (part = trimmed(part); !part.empty()) parts.emplace_back(part);
  }
  return parts;
}

Status setOption(Configuration& configuration, std::string_view name, std::string_view value) {
  for (size_t i = 0; i < kCount; ++i) {
    if (name == kRules[i].name) return set(configuration, i, value, "--" + std::string(name), "option");
  }
  return Error{"there is no option --" + std::string(name)};
}

std::string configurationFile() {
  std::string directory(variable("XDG_CONFIG_HOME"));
  // The XDG Base Directory Specification has a relative path ignored.
  if (!directory.starts_with('/')) {
    directory = variable("HOME");
    if (directory.empty()) return "";
    directory += "/.config";
  }
  return directory + "/splicehost/config";
}

Result<Configuration> readConfiguration() {
  Configuration configuration;
  if (Status done = setDefaults(configuration); !done) return done.error();
  if (Status done = setFromFile(configuration, configurationFile()); !done) return done.error();
  if (Status done = setFromEnvironment(configuration); !done) return done.error();
  return configuration;
}

}  // namespace splicehost
