/*
 * racer.c - racer A B COUNT: gives A and B each other's names, COUNT times, and once more where that is odd; a third
 * party sees at every instant one or the other under A.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;

	for (unsigned long i = 0; i < count + count % 2; i++) {
		if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) != 0) {
			perror("renameat2");
			return 1;
		}
	}
	return count == 0;
}
