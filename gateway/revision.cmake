# Writes OUT, which says which commit of ROOT is built; nothing is known of a source archive. Run by each build, and
# touches OUT only when that has changed: a commit costs one small file and a link.
execute_process(COMMAND git --git-dir=${ROOT}/.git --work-tree=${ROOT} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
set(text "#include \"server/build.h\"\n\nconst char* sluice::server::revision() { return \"${revision}\"; }\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
