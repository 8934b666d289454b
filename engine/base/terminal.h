/* terminal.h - drawing on a terminal that nobody waits for, with a cursor that comes back.
 *
 * Who draws in place on a terminal holds it. What is written goes through a description of
 * our own that does not block: a terminal that is stopped (^S) or slow holds up nobody, and
 * the shell's own one stays as it is. Where nobody can show the hidden cursor any more (a
 * signal by its default, exit() in a script, a process that is given up),
 * terminal_restore() does, and wipes what stands below it. One holder at a time, on the
 * main thread. */
#ifndef PERIGEE_BASE_TERMINAL_H
#define PERIGEE_BASE_TERMINAL_H

#include <stddef.h>

/* From now on the cursor of this descriptor may be hidden. SIGQUIT and SIGTSTP restore it
 * before they do what they do; a program that goes on after SIGTSTP hides it again. */
void terminal_hold(int fd);

/* Returns how much of it was taken: not all when the terminal has no room now. All, when
 * there is no terminal any more. Only while one is held. */
size_t terminal_write(const char *data, size_t len);

/* The cursor is shown again. Nothing when none is held. */
void terminal_release(void);

/* Nothing when no terminal is held. May be called anywhere, in a signal's handler too. */
void terminal_restore(void);

#endif
