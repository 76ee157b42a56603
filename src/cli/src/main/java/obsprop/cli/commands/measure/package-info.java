/** Commands that measure vectors: against each other, against texts, against tokens, and by steering. */
package obsprop.cli.commands.measure;
