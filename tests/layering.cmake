# The include order of docs/explanation/architecture.md: a folder of gateway/ may include only folders to its left, and each third-party
# library has one home. Run by ctest as `layering`.
set(order base event net relay http ws store policy upstream config session server)
set(failed 0)

# header pattern @ files that may include it
set(homes
  "event2/@^event/"
  "openssl/@^net/(tls_|crypto)"
  "nghttp2/@^http/h2_"
  "simdjson@^base/(json|json_text|utf8)\\."
  "nlohmann/@^base/json\\."
  "xxhash@^base/hash\\."
  "spdlog/@^base/log"
  "zlib\\.h@^ws/deflate"
  "ares@^net/resolver"
  "hiredis/@^store/redis"
  "toml\\+\\+@^config/document\\."
  "prometheus/@^server/metrics"
  "CLI/@^main\\.cc")
# Libraries whose headers are heavy: never in a header of ours.
set(heavy "toml\\+\\+|spdlog/|simdjson|nlohmann/|CLI/")

file(GLOB_RECURSE files RELATIVE ${ROOT}/gateway ${ROOT}/gateway/*.h ${ROOT}/gateway/*.cc)
foreach(file ${files})
  string(REGEX MATCH "^[^/]+" folder ${file})
  list(FIND order ${folder} rank)
  if(rank EQUAL -1 AND NOT file STREQUAL "main.cc")
    message(SEND_ERROR "gateway/${file}: folder '${folder}' is not in the include order")
    set(failed 1)
  endif()
  file(STRINGS ${ROOT}/gateway/${file} includes REGEX "^[ \t]*#[ \t]*include")
  foreach(line ${includes})
    if(line MATCHES "include \"([a-z_0-9]+)/")
      list(FIND order ${CMAKE_MATCH_1} target)
      if(target EQUAL -1 OR (NOT file STREQUAL "main.cc" AND target GREATER rank))
        message(SEND_ERROR "gateway/${file}: may not include: ${line}")
        set(failed 1)
      endif()
    elseif(line MATCHES "include <([^>]+)>")
      set(header ${CMAKE_MATCH_1})
      foreach(home ${homes})
        string(REGEX REPLACE "@.*$" "" pattern "${home}")
        string(REGEX REPLACE "^[^@]*@" "" allowed "${home}")
        if(header MATCHES "^${pattern}" AND NOT file MATCHES "${allowed}")
          message(SEND_ERROR "gateway/${file}: <${header}> has another home (${allowed})")
          set(failed 1)
        endif()
      endforeach()
      if(file MATCHES "\\.h$" AND header MATCHES "^(${heavy})")
        message(SEND_ERROR "gateway/${file}: <${header}> is too heavy for a header")
        set(failed 1)
      endif()
    endif()
  endforeach()
endforeach()
if(failed)
  message(FATAL_ERROR "layering broken")
endif()
list(LENGTH files count)
message(STATUS "layering holds over ${count} files")
