package obsprop.tensor.io;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Builds the tree of one text, by recursive descent: a method for each rule of RFC 8259. Our own because it is small, and
 * because a program's start reads JSON: Jackson's parser sets up decimals first, which takes a JVM longer than the rest.
 */
final class JsonTreeReader {
    /** As deep as the reference implementation of safetensors goes. */
    private static final int MAX_DEPTH = 128;
    /** Ample for a million tensors; bounds the memory that a hostile header can claim. */
    private static final int MAX_TOKENS = 32_000_000;
    /** Characters of a number: making more digits into a number takes time beyond all measure. */
    private static final int MAX_NUMBER = 1000;

    /** What {@link #next} says at the end of the text: a character that no JSON has outside of strings. */
    private static final char END = '\0';

    private final String where;
    private final Json.Dialect dialect;
    private final String text;
    private int at;
    private int depth;
    private int tokens;

    JsonTreeReader(String where, Json.Dialect dialect, String text) {
        this.where = where;
        this.dialect = dialect;
        this.text = text;
    }

    Json read() {
        if (next() == END) {
            throw new FormatException(where + ": empty, expected JSON");
        }
        Json value = value();
        if (next() != END) {
            throw refuse("text after the end of the value");
        }
        return value;
    }

    /** The next character that is no white space, which is not passed. */
    private char next() {
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
                if (c == END) {
                    throw refuse("unexpected character NUL");
                }
                return c;
            }
            at++;
        }
        return END;
    }

    private Json value() {
        count();
        char c = next();
        return switch (c) {
            case '{' -> object();
            case '[' -> array();
            case '"' -> new Json.Str(string());
            case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' -> new Json.Num(number());
            default -> word();
        };
    }

    private void count() {
        if (++tokens > MAX_TOKENS) {
            throw refuse("more than " + MAX_TOKENS + " values and keys");
        }
    }

    private Json object() {
        enter();
        Map<String, Json> members = new LinkedHashMap<>();
        if (next() != '}') {
            do {
                if (next() != '"') {
                    throw unexpected("a key");
                }
                count();
                String key = string();
                pass(':', "a colon");
                if (members.put(key, value()) != null) {
                    throw refuse("duplicate key " + FormatException.quote(key));
                }
            } while (goesOn('}'));
        }
        leave();
        return new Json.Obj(Collections.unmodifiableMap(members));
    }

    private Json array() {
        enter();
        List<Json> items = new ArrayList<>();
        if (next() != ']') {
            do {
                items.add(value());
            } while (goesOn(']'));
        }
        leave();
        return new Json.Arr(Collections.unmodifiableList(items));
    }

    private void enter() {
        if (++depth > MAX_DEPTH) {
            throw refuse("the nesting depth is over " + MAX_DEPTH);
        }
        at++;
    }

    private void leave() {
        depth--;
        at++;
    }

    /** Whether a comma comes, which is passed, and not {@code end}, which is not. */
    private boolean goesOn(char end) {
        if (next() == end) {
            return false;
        }
        pass(',', "a comma or " + end);
        return true;
    }

    private void pass(char expected, String description) {
        if (next() != expected) {
            throw unexpected(description);
        }
        at++;
    }

    private String string() {
        int start = ++at;
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c == '"') {
                return text.substring(start, at++);
            }
            if (c == '\\') {
                return withEscapes(start);
            }
            requirePrintable(c);
            at++;
        }
        throw refuse("a string without an end");
    }

    private void requirePrintable(char c) {
        if (c < ' ') {
            throw refuse("control character " + (int) c + " in a string");
        }
    }

    private String withEscapes(int start) {
        StringBuilder string = new StringBuilder().append(text, start, at);
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return paired(string.toString());
            }
            requirePrintable(c);
            string.append(c == '\\' ? escaped() : c);
        }
        throw refuse("a string without an end");
    }

    private char escaped() {
        char c = at < text.length() ? text.charAt(at++) : END;
        return switch (c) {
            case '"', '\\', '/' -> c;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> hexadecimal();
            default -> throw refuse("unknown escape in a string");
        };
    }

    private char hexadecimal() {
        int code = 0;
        for (int end = at + 4; at < end; at++) {
            char c = at < text.length() ? text.charAt(at) : END;
            int digit = c < 128 ? Character.digit(c, 16) : -1;
            if (digit < 0) {
                throw refuse("\\u without four hexadecimal digits");
            }
            code = 16 * code + digit;
        }
        return (char) code;
    }

    /** Escapes can spell half a surrogate pair, which no UTF-8 text can hold. */
    private String paired(String string) {
        for (int i = 0; i < string.length(); i++) {
            char c = string.charAt(i);
            boolean pair = Character.isHighSurrogate(c) && i + 1 < string.length() && Character.isLowSurrogate(string.charAt(i + 1));
            if (Character.isSurrogate(c) && !pair) {
                throw refuse("unpaired surrogate in the string " + FormatException.quote(string));
            }
            i += pair ? 1 : 0;
        }
        return string;
    }

    private String number() {
        int start = at;
        skip('-');
        if (dialect == Json.Dialect.PYTHON && at > start && text.startsWith("Infinity", at)) {
            at += "Infinity".length();
        } else {
            if (!skip('0')) {
                digits();
            }
            if (skip('.')) {
                digits();
            }
            if (skip('e') || skip('E')) {
                at += at < text.length() && (text.charAt(at) == '+' || text.charAt(at) == '-') ? 1 : 0;
                digits();
            }
        }
        if (at - start > MAX_NUMBER) {
            throw refuse("a number of more than " + MAX_NUMBER + " characters");
        }
        return text.substring(start, at);
    }

    private boolean skip(char c) {
        boolean there = at < text.length() && text.charAt(at) == c;
        at += there ? 1 : 0;
        return there;
    }

    private void digits() {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        if (at == start) {
            throw unexpected("a digit");
        }
    }

    private Json word() {
        if (takes("true")) {
            return new Json.Bool(true);
        } else if (takes("false")) {
            return new Json.Bool(false);
        } else if (takes("null")) {
            return new Json.Null();
        } else if (dialect == Json.Dialect.PYTHON && takes("NaN")) {
            return new Json.Num("NaN");
        } else if (dialect == Json.Dialect.PYTHON && takes("Infinity")) {
            return new Json.Num("Infinity");
        }
        throw unexpected("a value");
    }

    private boolean takes(String word) {
        boolean there = text.startsWith(word, at);
        at += there ? word.length() : 0;
        return there;
    }

    private FormatException unexpected(String expected) {
        return refuse(at < text.length() ? "unexpected character '" + Character.toString(text.codePointAt(at)) + "', expected " + expected
                : "unexpected end, expected " + expected);
    }

    private FormatException refuse(String problem) {
        int line = 1;
        int lineStart = 0;
        for (int i = 0; i < Math.min(at, text.length()); i++) {
            if (text.charAt(i) == '\n') {
                line++;
                lineStart = i + 1;
            }
        }
        return new FormatException(where + ": invalid JSON: " + problem + " at line " + line + ", column " + (at - lineStart + 1));
    }
}
