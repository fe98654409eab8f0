# What `cmake --install` puts where. A part that is not built is left out.

if(TARGET bytemill_shared)
  install(TARGETS bytemill_shared)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/bytemill TYPE INCLUDE FILES_MATCHING PATTERN "*.h")

  # The .pc file finds its prefix from where it lies, so that the tree may be moved and --prefix and DESTDIR just work.
  set(BM_PC_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  if(IS_ABSOLUTE ${BM_PC_DIR})
    set(BM_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
  else()
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}/${BM_PC_DIR} OUTPUT_VARIABLE up)
    set(BM_PC_PREFIX "\${pcfiledir}/${up}")
  endif()
  cmake_path(APPEND BM_PC_LIBDIR "\${prefix}" ${CMAKE_INSTALL_LIBDIR})
  cmake_path(APPEND BM_PC_INCLUDEDIR "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/bytemill.pc.in ${PROJECT_BINARY_DIR}/bytemill.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/bytemill.pc DESTINATION ${BM_PC_DIR})
endif()

if(TARGET bytemill_cli)
  install(TARGETS bytemill_cli)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/jobs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bytemill/jobs
          FILES_MATCHING PATTERN "*.json")
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/src/cli/bytemill.1)
  install(FILES ${PROJECT_SOURCE_DIR}/src/cli/bytemill.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
