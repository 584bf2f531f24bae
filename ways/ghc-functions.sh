# What build-ghc and interpreters/manifest share; they source it. It knows how an installed GHC is laid out:
# which packages it has, in which files, and which ways are complete.

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# use_tools CXX SYSROOT [--see DIRECTORY]...: before anything else. Sets `cxx_command` and `machine`, the machine that the
# compiler makes programs for. SYSROOT is empty, or the root directory of another machine's system, whose libraries are to
# be used. A GHC of that system is run there, and then sees the DIRECTORYs.
sysroot= sysroot_runner=()
use_tools() {
  cxx_command=("$1")
  if [ -n "$2" ]; then
    sysroot=$(realpath "$2") || fail "there is no directory $2"
    cxx_command+=("--sysroot=$sysroot")
    sysroot_runner=("$(realpath "$(dirname "${BASH_SOURCE[0]}")")/run-in-sysroot" "$sysroot" "${@:3}")
  fi
  machine=$("${cxx_command[@]}" -dumpmachine 2>/dev/null || uname -m)
}

# runner_of PROGRAM: sets `runner` to the words that run it, in the sysroot if it is there.
in_sysroot() { [ -n "$sysroot" ] && [ "${1#"$sysroot"/}" != "$1" ]; }
runner_of() {
  if in_sysroot "$1"; then runner=("${sysroot_runner[@]}" "${1#"$sysroot"}"); else runner=("$1"); fi
}
run() {
  local runner
  runner_of "$1"
  "${runner[@]}" "${@:2}"
}

# use_prefix_of GHC: sets `prefix`, what is to be put before the paths that this GHC tells.
use_prefix_of() {
  prefix=
  ! in_sysroot "$1" || prefix=$sysroot
}

# ask_ghc GHC: sets `version`, `libdir` and `prefix`.
ask_ghc() {
  command -v "$1" >/dev/null || fail "there is no program $1"
  version=$(run "$1" --numeric-version) || fail "$1 does not tell its version; is it a GHC?"
  use_prefix_of "$1"
  libdir=$prefix$(run "$1" --print-libdir)
}

# require_wire_table GHC SOURCES: ends the program if the version has no wire table. Call ask_ghc before.
require_wire_table() {
  local known
  known=$(grep -v '^#' "$2/protocol/ghc-versions.txt")
  ! grep -qxF "$version" <<<"$known" || return 0
  fail "GHC $version ($1) has no wire table in this Splicehost, which has those of GHC" \
    "$(paste -sd, <<<"$known" | sed -E 's/,/, /g; s/(.*), /\1 and /'); docs/adding-a-ghc.md tells how to add one"
}

# describe_ghc GHC: sets, for the packages of GHC's global database, by_name (name to id) and package
# (id:field to value). Call ask_ghc before.
declare -A by_name package
describe_ghc() {
  local ghc=$1 ghc_pkg id field value
  for ghc_pkg in "$libdir/bin/ghc-pkg" "$libdir/../bin/ghc-pkg" "$(command -v "$ghc" | sed 's,ghc\([^/]*\)$,ghc-pkg\1,')"; do
    [ ! -x "$ghc_pkg" ] || break
  done
  [ -x "$ghc_pkg" ] || fail "there is no ghc-pkg for GHC $version, in $libdir/bin or beside $ghc"
  # One call, as each takes as long as a hundred look-ups in what it prints.
  while IFS=$'\t' read -r id field value; do
    package[$id:$field]=$value
    [ "$field" != name ] || by_name[$value]=$id
  done < <(run "$ghc_pkg" --global-package-db "${libdir#"$prefix"}/package.conf.d" --no-user-package-db field '*' \
      id,name,abi,depends,import-dirs,library-dirs,dynamic-library-dirs,hs-libraries,extra-libraries,include-dirs |
    awk -v OFS='\t' '
      function flush() { if (field != "" && field != "id") print id, field, value; field = "" }
      /^[a-z-]+:/ { flush(); field = substr($1, 1, length($1) - 1); $1 = ""; sub(/^ /, ""); value = $0
                    if (field == "id") id = value; next }
      { $1 = $1; if ($0 != "") value = value " " $0 }
      END { flush() }')
  [ -n "${by_name[rts]:-}" ] || fail "GHC $version has no package rts in $libdir/package.conf.d"
}
field() {
  local value=${package[$1:$2]:-}
  case $2 in
    *-dirs) set -- $value; echo "${@/#/$prefix}" ;;
    *) echo "$value" ;;
  esac
}

# visit ID: adds to `packages` every package that this one depends on, dependencies first, and itself.
declare -A visited
visit() {
  local dependency
  [ -z "${visited[$1]:-}" ] || return 0
  visited[$1]=1
  for dependency in $(field "$1" depends); do visit "$dependency"; done
  packages+=("$1")
}

# select_libraries WAY: what an interpreter of this way links.
#   packages          their ids, dependencies first
#   haskell_archives  the Haskell libraries (archives, or shared objects in the dynamic way)
#   boot_files        the files by which GHC knows those archives when it asks to load them
#   rts_link          the RTS
#   system_link       other libraries, as words for the linker
#   rpaths            where the dynamic way's libraries are
#   include_flags     words for the C++ compiler
#   missing           files that should be there and are not: if there are any, GHC lacks the way
select_libraries() {
  local way=$1 suffix rts object_suffix interface id directory library file name wanted
  # suffix: what the way adds to a library's name; rts: likewise for the RTS, which is always threaded;
  # object_suffix, interface: of the way's files.
  case $way in
    vanilla) suffix= rts=_thr object_suffix=o interface=hi ;;
    profiled) suffix=_p rts=_thr_p object_suffix=p_o interface=p_hi ;;
    dynamic) suffix=-ghc$version rts=_thr-ghc$version object_suffix=dyn_o interface=dyn_hi ;;
    *) fail "unknown way $way; there are vanilla, profiled and dynamic" ;;
  esac

  # The packages to link: what the shim needs, and in the static ways the boot libraries that most splices
  # need besides. Not those that few splices use and that are large (ghc, Cabal). (A dynamic interpreter
  # gains nothing: the system's loader finds by itself what is loaded already, and starting costs more.)
  wanted="ghci unix template-haskell"
  [ "$way" = dynamic ] || wanted+=" mtl text stm parsec process exceptions time directory"
  packages=() visited=()
  for name in $wanted; do
    [ -n "${by_name[$name]:-}" ] || fail "GHC $version has no package $name in its global database"
    visit "${by_name[$name]}"
  done

  haskell_archives=() boot_files=() rts_link=() system_link=() rpaths=() include_flags=() missing=()
  for id in "${packages[@]}"; do
    directory=$(field "$id" library-dirs)
    if [ "$way" = dynamic ]; then
      name=$(field "$id" dynamic-library-dirs)
      directory=${name:-$directory}
    fi
    # Several directories are rare; libraries are in the first that has them.
    set -- $directory
    for library in $(field "$id" hs-libraries); do
      case $library in
        # C code that belongs to GHC, such as its own libffi (Cffi): static libraries have the way's
        # suffix, shared ones do not have the C.
        C*)
          if [ "$way" = dynamic ]; then
            rpaths+=("${@#"$prefix"}")
            system_link+=("${@/#/-L}" "-l${library#C}")
          else
            file=$(find_file "lib$library$suffix.a" "$@")
            [ -e "$file" ] || file=$(find_file "lib$library.a" "$@")
            system_link+=("$file")
            [ -e "$file" ] || missing+=("$file")
          fi
          continue ;;
        HSrts*) name=lib$library$rts ;;
        *) name=lib$library$suffix ;;
      esac
      if [ "$way" = dynamic ]; then
        file=$(find_file "$name.so" "$@")
        directory=${file%/*}
        rpaths+=("${directory#"$prefix"}")
      else
        file=$(find_file "$name.a" "$@")
      fi
      [ -e "$file" ] || missing+=("$file")
      case $library in
        HSrts*) rts_link+=("$file") ;;
        *)
          haskell_archives+=("$file")
          if [ "$way" != dynamic ] && [ -e "$file" ]; then
            boot_files+=("$file")
            # GHC prefers a library as one object file, where there is one.
            name=${file%/*}/$library.$object_suffix
            [ ! -e "$name" ] || boot_files+=("$name")
          fi ;;
      esac
    done
    for library in $(field "$id" extra-libraries); do system_link+=("-l$library"); done
    for directory in $(field "$id" library-dirs); do system_link+=("-L$directory"); done
  done
  for directory in $(field "${by_name[rts]}" include-dirs); do include_flags+=(-isystem "$directory"); done

  # The shim is compiled against interfaces.
  set -- $(field "${by_name[base]}" import-dirs)
  file=$(find_file "Prelude.$interface" "$@")
  [ -e "$file" ] || missing=("$file" "${missing[@]}")
}

# find_file NAME DIRECTORY...: the first that exists, or the first.
find_file() {
  local name=$1 directory
  shift
  for directory; do
    [ ! -e "$directory/$name" ] || { echo "$directory/$name"; return; }
  done
  echo "${1:-}/$name"
}

# install_way WAY: what a user has to do to get a way's libraries.
install_way() {
  case ${libdir#"$prefix"}:$1 in
    *ghcup*) echo "ghcup install ghc $version --force" ;;
    /usr/lib/*:profiled) echo "apt-get install ghc-prof" ;;
    /usr/lib/*) echo "apt-get install --reinstall ghc" ;;
    *) echo "install the $1 libraries that belong to the GHC in $libdir" ;;
  esac
}

# linked_libraries PROGRAM: a line "<name> <path>" for each shared object that it needs, and those need, however deep,
# where the loader would find it; from here, if it is a sysroot's.
linked_libraries() {
  local -a queue=("$1") directories inherited=()
  local -A seen
  local file name path directory words
  while [ ${#queue[@]} -gt 0 ]; do
    file=${queue[0]} queue=("${queue[@]:1}")
    words=$(LC_ALL=C readelf -d "$file") || fail "readelf cannot read $file"
    directories=()
    while read -r directory; do
      directory=${directory//'$ORIGIN'/$(dirname "${file#"$prefix"}")}
      directories+=("$prefix$directory")
    done < <(sed -nE 's/.*\(R(UN)?PATH\).*\[(.*)\]$/\2/p' <<<"$words" | tr : '\n')
    # A loader looks for what a library needs in the program's DT_RPATH, too, and not in its DT_RUNPATH; but what it
    # has found for the program it has.
    [ "$file" != "$1" ] || inherited=("${directories[@]}")
    while read -r name; do
      [ -z "${seen[$name]:-}" ] || continue
      seen[$name]=1
      path=$(find_file "$name" "${directories[@]}" "${inherited[@]}")
      [ -e "$path" ] || path=$("${cxx_command[@]}" -print-file-name="$name")
      [ -e "$path" ] || [ -n "$sysroot" ] || path=$(PATH=$PATH:/sbin ldconfig -p | sed -nE "s#^\s*$name \(.*=> ##p" | head -n 1)
      [ -e "$path" ] || fail "$file needs $name, which is in none of its directories"
      path=$(realpath -s "$path")
      echo "$name $path"
      queue+=("$path")
    done < <(sed -nE 's/.*\(NEEDED\).*\[(.*)\]$/\1/p' <<<"$words")
  done
}

# missing_tools: the Debian packages that must be installed for interpreters to be built, besides
# GHC's own libraries; none if all is there. Call select_libraries before, of a way that GHC has.
missing_tools() {
  local library word file
  {
    command -v cmake >/dev/null || echo cmake
    command -v ninja >/dev/null || echo ninja-build
    command -v "${cxx_command[0]}" >/dev/null || { echo g++; return; }
    "${cxx_command[@]}" -std=c++20 "${include_flags[@]}" -E -P -x c++ - <<'END'
#if !__has_include(<capnp/message.h>)
libcapnp-dev
#endif
#if !__has_include(<openssl/sha.h>)
libssl-dev
#endif
#if !__has_include(<ffi.h>)
libffi-dev
#endif
END
    # A compiler prints a bare name if it does not find the file.
    for library in capnp:libcapnp-dev kj:libcapnp-dev crypto:libssl-dev; do
      file=$("${cxx_command[@]}" -print-file-name="lib${library%:*}.a")
      [ "$file" != "lib${library%:*}.a" ] || echo "${library#*:}"
    done
    set --
    for word in "${system_link[@]}"; do [ "${word#-L}" = "$word" ] || set -- "$@" "${word#-L}"; done
    for word in "${system_link[@]}"; do
      library=${word#-l}
      [ "$library" != "$word" ] || continue
      for file in "lib$library.so" "lib$library.a"; do
        [ "$("${cxx_command[@]}" -print-file-name="$file")" = "$file" ] || continue 2
        [ ! -e "$(find_file "$file" "$@")" ] || continue 2
      done
      echo "lib$library-dev"
    done
  } | sort -u | xargs
}

# use_compiler_libraries: sets `static_libraries`, Splicehost's own that do not depend on a GHC, and `compiler_libraries`,
# what the compiler and the C library have for static linking. missing_tools tells whether the former are there.
use_compiler_libraries() {
  local library file
  static_libraries=() compiler_libraries=()
  for library in capnp kj crypto; do static_libraries+=("$("${cxx_command[@]}" -print-file-name="lib$library.a")"); done
  for library in libgcc.a libgcc_eh.a libc_nonshared.a; do
    file=$("${cxx_command[@]}" -print-file-name="$library")
    [ "$file" = "$library" ] || compiler_libraries+=("$file")
  done
}
