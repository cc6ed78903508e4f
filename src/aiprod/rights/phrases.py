"""Set phrases about rights in many languages, their abbreviations, and names of agencies, as regular expressions.

They are matched against a text as `words_against` reads it: small letters without accents, one space between words,
``copyright`` for its sign. Of most of these languages no more is read than is listed here.
"""

from __future__ import annotations

_SIGNED = (
    r"(?:copyright|photos?|photograph|foto|fotos|credits?|courtesy(?: of)?|via|source|pictures?|images?|video|"
    r"footage)"
)
_BY = r"(?: (?:by|of|from|the|\d{2,4}|and))*"
_AGENCIES = (  # names that mean nothing else
    r"getty ?images?|shutterstock|pond5|adobe ?stock|istock(?:photo)?|alamy|depositphotos|storyblocks|videoblocks|"
    r"dreamstime|123rf|fotolia|bigstock(?:photo)?|canstock(?:photo)?|pixta|videohive|audiojungle|premiumbeat|artgrid|"
    r"filmsupply|framepool|clipcanvas|motion array|epidemic sound|picture alliance|bridgeman images|magnum photos|"
    r"akg images|ullstein bild|british pathe|zuma ?press|rex features|agence france presse|associated press|"
    r"press association|dpa picture|sipa ?press|ap (?:photos?|images|video|archive)|pa (?:images|wire)"
)
_SHORT_NAMES = (  # names that mean an agency where a sign of rights or a credit stands before them
    r"getty|reuters|afp|ap|epa|dpa|apa|ansa|efe|tass|ria novosti|xinhua|kyodo|belga|anp|tt|ntb|ritzau|pap|mti|ctk|"
    r"keystone|imago|corbis|magnum|sipa|gamma rapho|bloomberg|pa media|upi|envato|artlist"
)
_RESERVED = r"(?:reserved|res|resvd|rsvd|resrvd|reservd)"
_ABBREVIATED = (
    rf"\b(?:all (?:rights|rts|rgts|rghts|r) (?:are )?{_RESERVED}|a r r|all r r|a r v|t d r)\b|^(?:arr|d r)$|"
    r"\bcopyright (?:(?:\w+ ){0,6}arr|d r)\b|\b(?:arr|d r) copyright\b|\balle? rechte? (?:sind )?(?:vorb|vbh)\b|"
    r"\btous (?:les )?(?:droits|drts) (?:sont )?res\w*|"
    r"\btodos (?:los|os) (?:derechos|direitos|der|dir|dtos|dchos) res\w*|"
    r"\btutti i (?:diritti|dir) (?:sono )?ris\w*|\briproduzione (?:\w+ )?riservat\w*|\bdroits reserves\b|"
    r"\bвсе права (?:защ|сохран|принадлеж|охран)\w*"
)
# Nouns for "rights" beside what is done to them, in either order.
_RIGHTS_KEPT = (
    (r"prawa?", r"zastrz\w*"),
    (r"prava", r"(?:vyhraz|vyhrad|zadrz|pridrz)\w*"),
    (r"jogo?k?a?", r"fenntart\w*"),
    (r"drepturi\w*", r"rezerv\w*"),
    (r"haklari", r"sakli\w*"),
    (r"rattighet\w*|rettighed\w*|rettighet\w*|ensamratt\w*|enerett\w*|eneret\w*", r"forbeh\w*"),
    (r"oikeude\w*|oikeuksi\w*", r"pidat\w*"),
    (r"rechten?", r"(?:vorbeh|voorbeh)\w*"),
    (r"derechos|direitos|diritti|drets|droits", r"(?:reserv|riserv)\w*"),
    (r"права", r"(?:защищ|запазен|охран|сохран|захищ|задржа)\w*"),
    (r"tiesibas", r"aizsarg\w*"),
    (r"teises", r"saugom\w*"),
    (r"oigused", r"kaitst\w*"),
)
_USES = (  # copying, spreading, using
    r"(?:kopi\w+|kopir\w+|uzyci\w*|uzytk\w*|uzywan\w*|wykorzyst\w+|rozpowszech\w+|powiel\w+|reproduk\w+|publikac\w+|"
    r"hasznal\w*|felhasznal\w*|masol\w*|terjeszt\w*|sokszoro\w*|ujrafel\w*|pouzit\w*|uzit\w*|siren\w*|rozmnoz\w+|"
    r"nachdruck\w*|vervielfaltig\w*|weitergabe|verbreitung|verwendung|nutzung|veroffentlichung|wiedergabe|"
    r"reproduc\w+|reproduz\w+|riproduzion\w+|copia\w*|copie\w*|duplica\w+|distribu\w+|difus\w+|diffus\w+|uso|"
    r"utiliz\w+|"
    r"utilis\w+|usage|verveelvoudig\w*|overname|gebruik|verspreid\w*|nadruk|eftertryck\w*|eftertryk\w*|ettertrykk\w*|"
    r"kopiering|spridning|spredning|bruk|brug|gengivelse|gjengivelse|anvand\w*|anvend\w*|kopioin\w*|kayt\w+|"
    r"копирован\w*|использован\w*|распростран\w*|воспроизвед\w*|перепечатк\w*|публикац\w*|копіюван\w*|використан\w*|"
    r"kullan\w*|kopyala\w*|cogalt\w*|utilizare\w*|copier\w*|reproducer\w*)"
)
_FORBIDDEN = (
    r"(?:zabron\w*|zakaz\w*|niedozwol\w*|tilos|nem (?:engedelyezett|megengedett)|zakaza\w*|verboten|untersagt|"
    r"nicht (?:gestattet|erlaubt|zulassig)|prohibid\w*|proibid\w*|vietat\w*|interdi\w+|interzis\w*|niet toegestaan|"
    r"forbjud\w*|forbud\w*|forbudt|ikke tillatt|ikke tilladt|ej tillat\w*|kielletty\w*|запрещ\w*|воспрещ\w*|"
    r"заборон\w*|"
    r"yasak\w*|nepovolen\w*)"
)
_NO_LEAVE = (  # without permission, or only with it
    r"\b(?:ohne|nur mit|nicht ohne) (?:[\w']+ ){0,5}?(?:genehmigung|erlaubnis|zustimmung|einwilligung)\b|"
    r"\bsans (?:[\w']+ ){0,3}?(?:autorisation|accord|permission)\b|\bs(?:in|em) (?:[\w']+ ){0,4}?"
    r"(?:autorizac\w+|permis\w*|consentimiento|consentimento)\b|\bsenza (?:[\w']+ ){0,3}?(?:autorizzazion\w+|"
    r"consenso|permesso)\b|"
    r"\bbez (?:\w+ ){0,4}?(?:zgody|zezwoleni\w+|pozwoleni\w+|souhlasu|povoleni|suhlasu|povoleni\w+|dozvole|"
    r"odobrenj\w+)\b|"
    r"\b(?:engedely\w*|hozzajarul\w*) nelkul\b|\bcsak (?:\w+ ){0,3}?engedel\w+\b|"
    r"\bzonder (?:\w+ ){0,4}?toestemming\b|"
    r"\butan (?:\w+ ){0,3}?(?:tillstand|tillatelse|samtycke)\b|\bud?t?en (?:\w+ ){0,3}?(?:tilladelse|tillatelse|"
    r"samtykke)\b|"
    r"\bilman (?:\w+ ){0,3}?(?:lupaa|suostumus\w*)\b|\bбез (?:\w+ ){0,4}?(?:разрешен\w+|согласи\w+|дозвол\w+)\b|"
    r"\bfara (?:\w+ ){0,3}?(?:acord\w*|permisiun\w*)\b|\bizinsiz\b"
)
_FOR_ONESELF = (  # personal, private, or not commercial
    r"\bszemelyes (?:\w+ )?(?:hasznal|felhasznal|celra)\w*|\bmaganhasznal\w*|\bnem (?:kereskedelmi|uzleti)\b|"
    r"\b(?:uzytk\w*|uzyci\w*) (?:osobist|prywatn|wlasn|niekomerc)\w*|\b(?:osobist|prywatn)\w+ uzyt\w*|"
    r"\bnie ?komercyjn\w*|\bnekomerc\w*|\bnekomerčn\w*|\b(?:osobni|soukrom\w+|osobne|sukromn\w+) (?:potreb|uzit|"
    r"pouzit)\w*|"
    r"\b(?:личн|частн|персональн)\w+ (?:использован|пользован)\w*|\b(?:личных|некоммерч\w+) цел\w*|\bнекоммерч\w*|"
    r"\bнекомерц\w*|"
    r"\b(?:icke|ej|inte|ikke|ei)(?: for| til)? ?(?:kommersiel\w*|kommersiell\w*|kommerciel\w*|kommerciell\w*|"
    r"kaupalli\w*)|"
    r"\b(?:personligt|privat) (?:bruk|brug)\b|\byksityi\w+ kayt\w*|\bfines? (?:no|non) (?:comercial|commercial)\w*|"
    r"\bticari olmayan\b|\bkisisel kullanim\b|\bniet ?commercie\w*|\bnecomercial\w*"
)
# Text and data mining, and teaching models, in languages of which no more is read: what is said is not understood.
_MINING = (
    r"\beksploracj\w+ (?:tekst|dany)\w*|\bszovegbanyasz\w*|\badatbanyasz\w*|\bvytezovan\w* (?:\w+ )?(?:text|dat|"
    r"udaj)\w*|"
    r"\b(?:text|tekst)\w* (?:\w+ )?(?:og|och|und|en) (?:data ?mining|datautvinn\w*)|\bdatautvinn\w*|"
    r"\btiedonlouhin\w*|"
    r"\bfouille (?:de|des) (?:textes?|donnees)|\bmineria de (?:textos?|datos)|\bestrazione di (?:testo|testi|dati)|"
    r"\bmineracao de (?:textos?|dados)|\bextrager\w+ (?:\w+ )?de (?:text|date)\w*|\bveri madenciligi\b|"
    r"\b(?:интеллектуальн\w+ )?анализ\w* (?:текст|данн)\w* (?:и|та) (?:текст|данн)\w*|"
    r"\bdata ?mining \w* ?(?:vorbeh|voorbeh)\w*"
)
_TEACHING = (
    r"(?:tren(?:ink|owan|iran|uvan|ovan)\w*|trein(?:ar|amento|en)\w*|antren\w+|entren(?:ar|amiento)\w*|addestr\w+|"
    r"koulut\w+|"
    r"tanitas\w*|egitim\w*|egitmek|обуч\w+|навчан\w+|тренув\w+|εκπαιδευ\w+)"
)
_MODELS = r"(?:model\w*|modell\w*|algorytm\w*|algoritm\w*|модел\w*|neuron\w*|нейрон\w*|μοντελ\w*)"
_TO_TRAIN = (
    rf"\b{_TEACHING} (?:\w+ ){{0,3}}?{_MODELS}|\b{_MODELS} (?:\w+ ){{0,2}}?{_TEACHING}|"
    r"\b(?:nicht|kein\w*) (?:(?:fur|zum|zu|als) )?(?:\w+ )?(?:training|trainings?(?:zwecke?n?|daten|material))\b"
)

_MARKS = (  # as the whole text, and no name of anything
    r"^(?:(?:strictly|streng|commercial in|company) )?(?:confidential|confidence|confidentiel\w*|vertraulich|"
    r"vertrouwelijk|"
    r"riservato|confidencial|poufne|internal(?: use)?|restricted|classified)$|"
    r"^(?:rm|euo|nda|under nda|gema|royalty free|screener\w*(?: \w+){0,5}|for your consideration|crown copyright|"
    r"copyright (?:crown copyright|protected(?: \w+)?)|(?:protected by|under) copyright|orphan work|"
    r"(?:used under )?fair (?:use|dealing)|zitatrecht|tlp (?:: )?(?:red|amber(?: strict)?)|(?:\w+ )?hands off|"
    r"(?:single|one time) use(?: only)?|lizenzpflichtig\w*|社外秘|内部资料|內部資料)$"
)
_BY_LAW = (  # a reservation that names the rule it rests on
    r"\b(?:art|article|artikel|articolo|articulo|artigo) 4 (?:3 )?(?:[\w']+ ){0,4}?(?:c?dsm|directive|richtlinie|"
    r"directiva|"
    r"direttiva)\b|\b2019 790\b|\b44b urhg\b|\bnutzungsvorbehalt\w*"
)
_ON_CONDITIONS = (  # of an agency, a contract or an owner: whoever wants to use it has to ask or to look further
    r"\bno (?:re ?sales?|archiv(?:e|es|ing))\b|\bno use (?:in )?(?:uk|us|usa|france|germany|italy|spain|china|japan|"
    r"russia|india|australia)\b|\bmandatory credit\b|\bterritor(?:y|ies) (?:: )?(?:\w+ ){1,3}?only\b|"
    r"\b(?:licen[cs]e|rights?|usage|permission) (?:: )?(?:expires?|ends?|lapses?|valid (?:until|till|to))\b|"
    r"^valid (?:until|till) \d|\b(?:single use|one time|limited) licen[cs]e\b|"
    r"\b(?:contact|ask|e ?mail|write to|call) (?:[\w']+ ){0,3}?(?:for|about|before|to obtain) (?:\w+ ){0,2}?"
    r"(?:licen[cs]\w*|permissions?|rights|using|clearance)\b|\blicen[cs]ing (?:enquir|inquir|request)\w*|"
    r"\b(?:must|has to|have to|needs? to) be (?:licen[cs]ed|cleared)\b|\blicen[cs]e (?:is )?required\b|"
    r"\brights (?:: )?(?:none|unknown|unclear|contact \w+)\b|"
    r"\bno (?:rights|licen[cs]e|permission) (?:is |are )?(?:granted|given|implied|conveyed)\b|"
    r"\blicen[cs]e (?:: )?see (?:the )?(?:contract|agreement)\b|"
    r"\bproperty of (?:\w+ ){1,4}?(?:studios?|pictures|bros|inc|ltd|llc|gmbh|films?|entertainment|media|television)\b|"
    r"\b(?:nutzungs|urheber|verwertungs|alle )rechte liegen\b|\bnur (?:zur|fur die) ansicht\b|"
    r"\bscreening (?:purposes )?only\b|\bnot (?:to )?be (?:re ?used|used|broadcast|reproduced|copied|distributed|"
    r"published)\b|"
    r"\bpiracy is (?:a )?crime\b|\bfbi warning\b|\bviolators will\b|\bcriminal offen[cs]e\b|\bdon't steal (?:this|"
    r"my)\b|"
    r"\b(?:music|soundtrack|songs?|audio|musik|musique|musica) (?:: )?(?:\w+ ){0,3}?(?:licen[cs]ed|copyright)\b|"
    r"\b(?:contains|with) (?:\w+ )?(?:gema|(?:sony|universal|warner) music)\b|\bcopyright (?:\w+ )?(?:sony|"
    r"universal|warner) music\b"
)
_OF_PEOPLE = (  # who are shown or heard, and did not agree, or no longer do
    r"\bno releases?$|\bnot (?:model|property) released?\b|\b(?:model|property) releases? (?:: )?(?:is |"
    r"are )?(?:missing|"
    r"not available|unavailable|outstanding|pending|none)\b|\b(?:mr|pr|pr mr|mr pr) (?:: )?(?:no|none|"
    r"not available|missing)\b|"
    r"^no (?:mr|pr)$|\b(?:withdrew|revoked|retracted|refused) (?:[\w']+ ){0,2}?(?:consent|permission)\b|"
    r"\beinwilligung (?:\w+ ){0,2}?(?:widerruf\w*|zuruckgezogen|entzogen|fehlt)|\bconsentement (?:\w+ )?(?:retire|"
    r"refus)\w*|"
    r"\bconsentimiento (?:\w+ )?(?:retirad|revocad)\w*|\bconsenso (?:\w+ )?(?:revocat|ritirat)\w*|"
    r"\b(?:gdpr|dsgvo|rgpd) (?:\w+ )?(?:objection|widerspruch|opposition|erasure|deletion|loschung)\w*"
)
_MACHINES = (  # that are to have nothing of it, in other words than those for teaching them
    r"\b(?:no|not for|never|kein\w*|without|sans|sin) (?:[\w']+ ){0,3}?(?:gpt\w*|llms?|sora|midjourney|"
    r"stable diffusion|"
    r"diffusion models?|foundation models?|deep ?fakes?|voice clon\w*|stimmklon\w*|synthetic (?:media|data|voices?))\b|"
    r"\b(?:not (?:to )?be|do not|don't|never) (?:feed|fed|ingest\w*) (?:\w+ ){0,3}?(?:machines?|models?|algorithms?)\b|"
    r"\bmachines? (?:keep|stay|hands) (?:out|off|away)\b|\b(?:for )?humans? (?:eyes )?only\b|\bno ?ml\b|"
    r"\bdo not crawl\b|"
    r"\bdisallow\w* (?:\w+ )?(?:ai|training|data ?mining|crawling)\b|"
    r"\b(?:ai|genai) (?:train|training|input|use|learn) ?[:=]? ?(?:n|no|0|false|off|disallow\w*)$|"
    r"\btrain (?:gen)?ai ?[:=]? ?(?:n|no|0|false|off)$|"
    r"\b(?:m'oppose|opposition|oppose|refuse|rifiuto|opongo|no quiero|zero|nada de|nenhuma?|pas pour|non utilizzabile|"
    r"interdite?) (?:[\w']+ ){0,6}?(?:l'|d')?ia\b|^ia (?:no|non)$|"
    r"\b(?:far ej|ej|ikke|ingen|neuziv\w*|nepouziv\w*|zabranjen\w*|zabranen\w*|prepovedan\w*) (?:\w+ ){0,4}?(?:ai|"
    r"ki|ui)\b|"
    r"\bmi (?:kepzes|tanita|betanita|tanulas)\w*|\b(?:yz|yapay zeka) (?:egit\w*|icin)\b"
)
_NOT_COMMERCIAL = (
    r"\bcc (?:nc|nd)\b|\bpas d'(?:utilisation|usage|exploitation) commercial\w*|"
    r"\b(?:sin|sem|senza) (?:uso|fins|fini|scopi|scopo) (?:comercia|commercia)\w*"
)

SET_PHRASES = (
    _MARKS,
    _BY_LAW,
    _ON_CONDITIONS,
    _OF_PEOPLE,
    _MACHINES,
    _NOT_COMMERCIAL,
    rf"\b(?:{_AGENCIES})\b|\b{_SIGNED} ?:?{_BY} (?:{_SHORT_NAMES})\b",
    _ABBREVIATED,
    *(
        rf"\b(?:{what}) (?:\w+ ){{0,3}}?(?:{kept})\b|\b(?:{kept}) (?:\w+ ){{0,3}}?(?:{what})\b"
        for what, kept in _RIGHTS_KEPT
    ),
    rf"\b{_USES} (?:[\w']+ ){{0,5}}?{_FORBIDDEN}\b|\b{_FORBIDDEN} (?:[\w']+ ){{0,4}}?{_USES}\b",
    _NO_LEAVE,
    _FOR_ONESELF,
    _MINING,
    _TO_TRAIN,
)
# "All rights reserved" and what forbids, as it is written there.
FORMULAS = (
    "alla rättigheter förbehållna",
    "alle rettigheder forbeholdes",
    "alle rettigheder forbeholdt",
    "alle rettigheter forbeholdt",
    "kaikki oikeudet pidätetään",
    "kõik õigused kaitstud",
    "visas tiesības aizsargātas",
    "visos teisės saugomos",
    "wszelkie prawa zastrzeżone",
    "wszystkie prawa zastrzeżone",
    "všechna práva vyhrazena",
    "všetky práva vyhradené",
    "vse pravice pridržane",
    "sva prava pridržana",
    "sva prava zadržana",
    "minden jog fenntartva",
    "toate drepturile rezervate",
    "tüm hakları saklıdır",
    "με επιφύλαξη παντός δικαιώματος",
    "все права защищены",
    "всі права захищені",
    "всички права запазени",
    "сва права задржана",
    "جميع الحقوق محفوظة",
    "تمامی حقوق محفوظ است",
    "כל הזכויות שמורות",
    "모든 권리 보유",
    "版权所有",
    "版權所有",
    "保留所有权利",
    "保留一切权利",
    "保留所有權利",
    "保留一切權利",
    "不得用于",
    "不得用於",
    "转载",
    "轉載",
    "転載",
    "禁止",
    "禁じ",
    "禁ず",
    "無断",
    "著作権所有",
    "著作權所有",
    "学習不可",
    "学習に使用しない",
    "学習に使わない",
    "무단",
    "금지",
    "सर्वाधिकार सुरक्षित",
    "สงวนลิขสิทธิ์",
    "mọi quyền được bảo lưu",
    "hak cipta dilindungi",
    "tots els drets reservats",
    "eskubide guztiak erreserbatuta",
    "med ensamrätt",
    "仅供个人",
    "僅供個人",
    "仅供学习",
    "仅供参考",
    "仅限个人",
    "非商用",
    "非商业",
    "非商業",
    "个人使用",
    "個人使用",
    "個人利用",
    "私的利用",
    "営利目的",
    "非営利",
    "未经授权",
    "未经许可",
    "未經授權",
    "未經許可",
    "保留所有权",
    "비영리",
    "개인 용도",
    "비상업",
    "للاستخدام الشخصي",
    "غير تجاري",
    "לשימוש אישי",
    "באימון",
    "לאימון",
    "visas tiesības paturētas",
    "kõik õigused reserveeritud",
    "õigused reserveeritud",
    "të gjitha të drejtat e rezervuara",
    "të gjitha të drejtat janë të rezervuara",
    "allur réttur áskilinn",
    "öll réttindi áskilin",
    "gach ceart ar cosaint",
    "cedwir pob hawl",
    "drepturi de autor",
    "todos os dereitos reservados",
    "id-drittijiet kollha riżervati",
    "all rechter reservéiert",
    "усе правы абаронены",
    "сите права се задржани",
    "бүх эрх хуулиар",
    "барлық құқықтар қорғалған",
    "барча ҳуқуқлар ҳимояланган",
    "barcha huquqlar himoyalangan",
    "bütün hüquqlar qorunur",
    "ყველა უფლება დაცულია",
    "բոլոր իրավունքները",
    "सभी अधिकार सुरक्षित",
    "सर्व हक्क राखीव",
    "সর্বস্বত্ব সংরক্ষিত",
    "অধিকার সংরক্ষিত",
    "உரிமைகளும் பாதுகாக்கப்பட்டவை",
    "హక్కులు ప్రత్యేకించ",
    "ಹಕ್ಕುಗಳನ್ನು ಕಾಯ್ದಿರಿಸಲಾಗಿದೆ",
    "അവകാശങ്ങളും നിക്ഷിപ്തം",
    "හිමිකම් ඇවිරිණි",
    "ສະຫງວນລິຂະສິດ",
    "រក្សាសិទ្ធិ",
    "မူပိုင်ခွင့်",
    "تمام حقوق محفوظ",
    "جملہ حقوق",
    "haki zote zimehifadhiwa",
    "alle regte voorbehou",
    "karapatan ay nakalaan",
    "bản quyền thuộc",
)
