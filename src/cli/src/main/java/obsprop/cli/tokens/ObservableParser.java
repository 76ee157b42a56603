package obsprop.cli.tokens;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.ObservableSpec.Term;
import obsprop.cli.tokens.ObservableSpec.TokenReference;

/**
 * Reads an observable.
 *
 * <pre>
 * observable = [name "="] term {("+" | "-") term}
 * term       = ["+" | "-"] [number "*"] token         the sign only in front of the first term
 * token      = quoted string | "#" id
 * </pre>
 * In a quoted string {@code \" \\ \n \r \t} and four hexadecimal digits after a backslash and u have their usual
 * meaning. Blanks count only inside quotes.
 */
public final class ObservableParser {
    private static final Pattern NAME = Pattern.compile("\\s*([\\p{L}_][^\\s\"#=+*]*)\\s*=");
    private static final Pattern NUMBER = Pattern.compile("(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");
    private static final Pattern ID = Pattern.compile("#(\\d+)");
    private static final String EXAMPLE = "write, for example, '\" she\" - 0.5*\" he\"' or '#673 - #339'";

    private final String spec;
    private int at;

    private ObservableParser(String spec) {
        this.spec = spec;
    }

    /**
     * Reads {@code spec}.
     *
     * @throws UsageException where it is no observable: nothing else is ever thrown
     */
    public static ObservableSpec parse(String spec) {
        return new ObservableParser(spec).observable();
    }

    private ObservableSpec observable() {
        Optional<String> name = name();
        List<Term> terms = new ArrayList<>();
        terms.add(term(optionalSign()));
        for (skipBlanks(); at < spec.length(); skipBlanks()) {
            terms.add(term(sign()));
        }
        return new ObservableSpec(name, terms);
    }

    private Optional<String> name() {
        Matcher matcher = NAME.matcher(spec);
        if (!matcher.lookingAt()) {
            return Optional.empty();
        }
        at = matcher.end();
        return Optional.of(matcher.group(1));
    }

    private int optionalSign() {
        skipBlanks();
        return at < spec.length() && "+-".indexOf(spec.charAt(at)) >= 0 ? sign() : 1;
    }

    private int sign() {
        return switch (spec.charAt(at++)) {
            case '+' -> 1;
            case '-' -> -1;
            default -> throw wrong(at - 1, "+ or - is missing");
        };
    }

    private Term term(int sign) {
        skipBlanks();
        double weight = sign;
        Matcher number = NUMBER.matcher(spec).region(at, spec.length());
        if (number.lookingAt()) {
            weight *= Double.parseDouble(number.group());
            if (Float.isInfinite((float) weight)) {
                throw wrong(at, "the weight is too large");
            }
            at = number.end();
            skipBlanks();
            if (at == spec.length() || spec.charAt(at) != '*') {
                throw wrong(at, "a weight is followed by * and a token");
            }
            at++;
            skipBlanks();
        }
        // Adding zero turns a negative zero into a plain one.
        return new Term(weight + 0.0, token());
    }

    private TokenReference token() {
        if (at < spec.length() && spec.charAt(at) == '"') {
            return new ObservableSpec.Text(quoted());
        }
        Matcher id = ID.matcher(spec).region(at, spec.length());
        if (!id.lookingAt()) {
            throw wrong(at, "a token in double quotes or an id such as #673 is missing");
        }
        try {
            int value = Integer.parseInt(id.group(1));
            at = id.end();
            return new ObservableSpec.Id(value);
        } catch (NumberFormatException e) {
            throw wrong(at, "no vocabulary has the id " + id.group(1));
        }
    }

    private String quoted() {
        int start = at++;
        StringBuilder text = new StringBuilder();
        while (at < spec.length() && spec.charAt(at) != '"') {
            char c = spec.charAt(at++);
            text.append(c == '\\' ? escape() : c);
        }
        if (at == spec.length()) {
            throw wrong(start, "the string has no closing double quote");
        }
        at++;
        if (text.isEmpty()) {
            throw wrong(start, "the string is empty");
        }
        return text.toString();
    }

    private char escape() {
        if (at == spec.length()) {
            throw wrong(at - 1, "the string has no closing double quote");
        }
        char c = spec.charAt(at++);
        return switch (c) {
            case '"', '\\' -> c;
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> unicode();
            default -> throw wrong(at - 2, "only \\\" \\\\ \\n \\r \\t and \\uXXXX may follow a backslash");
        };
    }

    private char unicode() {
        int end = at + 4;
        int value = 0;
        for (; at < end; at++) {
            int digit = at < spec.length() ? Character.digit(spec.charAt(at), 16) : -1;
            if (digit < 0) {
                throw wrong(at, "\\u takes four hexadecimal digits");
            }
            value = 16 * value + digit;
        }
        return (char) value;
    }

    private void skipBlanks() {
        while (at < spec.length() && Character.isWhitespace(spec.charAt(at))) {
            at++;
        }
    }

    private UsageException wrong(int position, String what) {
        return new UsageException("observable '" + spec + "', character " + (position + 1) + ": " + what + "; " + EXAMPLE);
    }
}
