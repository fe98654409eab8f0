# cmake -DOUT=file.c -DFILES=a;b -P embed.cmake: the files as arrays, in a table for src/serve/page.c.
set(arrays "")
set(rows "")
set(i 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  file(SIZE ${file} size)
  file(SHA256 ${file} digest)
  string(SUBSTRING ${digest} 0 32 tag)
  string(REGEX REPLACE "(................................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND arrays "static const unsigned char data${i}[] = {\n${hex}0};\n")
  string(APPEND rows "\t{\"${name}\", data${i}, ${size}, \"\\\"${tag}\\\"\"},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUT} "/* Made by cmake/embed.cmake. */\n#include \"page.h\"\n\n${arrays}\n"
                  "const struct serve_page_file serve_page_files[] = {\n${rows}};\n"
                  "const size_t serve_page_file_count = ${i};\n")
