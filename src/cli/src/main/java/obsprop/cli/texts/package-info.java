/** Texts from files, one document at a time, in windows of tokens. */
package obsprop.cli.texts;
